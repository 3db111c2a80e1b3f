"""Choose a face pack's thresholds on one half of LFW's people, show them on the other.

Usage: thresholds.py PACK --photos LFW --packs-path FOLDER [--cache FILE]

LFW holds one folder a person. The halves come from a hash of the name. B-cubed (Bagga and Baldwin 1998) counts the face
nearest to the middle of each photo; faces beside it are grouped along, and a face that was not found stands alone.
"""

import argparse
import hashlib
import sys
from collections import Counter
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np

from gallery.ml_worker.faces.quality import LEAST_SHARPNESS, LEAST_SIZE
from gallery.ml_worker.packs import FacePack, Shelf, read_packs
from gallery.ml_worker.people.grouping import GroupingFace, group
from gallery.ml_worker.people.matching import Known, Newcomer, Rules, match
from gallery.ml_worker.recognition import load_faces
from gallery.ml_worker.sessions import RuntimeName, open_runtime

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from support.pictures import read_picture  # noqa: E402  # beside this folder

BATCH = 16
PACKS = ROOT / "packs"


def half_of(person: str) -> str:
    return "choose" if hashlib.sha256(person.encode()).digest()[0] % 2 else "show"


def embed(pack: FacePack, shelf: Shelf, files: list[Path]) -> dict[str, np.ndarray]:
    models = load_faces(pack, shelf, open_runtime(RuntimeName.ONNXRUNTIME, threads=1))
    rows: list[tuple[int, bool, float, float, float, np.ndarray]] = []
    for start in range(0, len(files), BATCH):
        images = [read_picture(file) for file in files[start : start + BATCH]]
        for offset, (image, faces) in enumerate(zip(images, models.find(images), strict=True)):
            middle = np.array(image.shape[1::-1]) / 2
            away = [
                float(np.hypot(*(np.array(f.detection.box[:2]) + np.array(f.detection.box[2:]) / 2 - middle)))
                for f in faces
            ]
            for face, distance in zip(faces, away, strict=True):
                quality = face.quality
                central = distance == min(away)
                rows.append((start + offset, central, quality.size, quality.sharpness, quality.score, face.vector))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return dict(zip(("photo", "central", "size", "sharpness", "score", "vector"), columns, strict=True))


def b_cubed(groups: list[str], truth: list[str]) -> tuple[float, float, float]:
    together, clusters, people = Counter(zip(groups, truth, strict=True)), Counter(groups), Counter(truth)
    precision = 100 * float(np.mean([together[g, t] / clusters[g] for g, t in zip(groups, truth, strict=True)]))
    recall = 100 * float(np.mean([together[g, t] / people[t] for g, t in zip(groups, truth, strict=True)]))
    return precision, recall, 2 * precision * recall / (precision + recall)


def grouped(data: dict[str, np.ndarray], ignored: np.ndarray, *, threshold: float, photos: int) -> list[str]:
    rows = np.flatnonzero(~ignored)
    faces = [GroupingFace(key=str(row), photo=str(data["photo"][row]), vector=data["vector"][row]) for row in rows]
    answer = [f"alone {photo}" for photo in range(photos)]
    for number, members in enumerate(group(faces, together=threshold)):
        for member in members:
            row = rows[member]
            if data["central"][row]:
                answer[data["photo"][row]] = f"group {number}"
    return answer


def arrived(data: dict[str, np.ndarray], ignored: np.ndarray, rules: Rules, *, photos: int) -> list[str]:
    """The provisional answer after all photos came in one by one, in a fixed random order."""
    person: dict[int, UUID | None] = {}
    answer = [f"alone {photo}" for photo in range(photos)]
    for photo in np.random.default_rng(20261121).permutation(photos):
        rows = np.flatnonzero((data["photo"] == photo) & ~ignored)
        seen = np.array(list(person), int)
        newcomers = []
        for row in rows:
            similar = data["vector"][seen] @ data["vector"][row] if len(seen) else np.empty(0)
            near = [(seen[index], float(similar[index])) for index in np.argsort(-similar)[:48]]
            known = [(Known(UUID(int=int(r)), UUID(int=int(data["photo"][r])), person[int(r)]), s) for r, s in near]
            newcomers.append(Newcomer(UUID(int=int(row)), known))
        for proposal in match(newcomers, photo_id=UUID(int=int(photo)), rules=rules, new_person=uuid4):
            person[proposal.face_id.int] = proposal.person_id
    for number, who in person.items():
        if who is not None and data["central"][number]:
            answer[data["photo"][number]] = str(who)
    return answer


def show(groups: list[str], people: list[str]) -> None:
    for half in ("choose", "show"):
        mine = [index for index, person in enumerate(people) if half_of(person) == half]
        precision, recall, f = b_cubed([groups[index] for index in mine], [people[index] for index in mine])
        print(f"   {half} P {precision:6.2f} R {recall:6.2f} F {f:6.2f}", end="")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--packs-path", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    pack = read_packs(PACKS)[options.pack]
    assert isinstance(pack, FacePack), "only face packs have thresholds"
    files = sorted(options.photos.rglob("*.jpg"))
    if options.cache and options.cache.exists():
        data = dict(np.load(options.cache))
    else:
        data = embed(pack, Shelf([options.packs_path]), files)
        if options.cache:
            np.savez(options.cache, allow_pickle=False, **data)
    report(pack, data, [file.parent.name for file in files])


def report(pack: FacePack, data: dict[str, np.ndarray], people: list[str]) -> None:
    ignored = (data["size"] < LEAST_SIZE) | (data["sharpness"] < LEAST_SHARPNESS)
    print(f"{len(people)} photos, {len(set(data['photo']))} with {len(data['photo'])} faces, {ignored.sum()} ignored")
    print("sharpness percentiles 1, 5, 50:", np.percentile(data["sharpness"], [1, 5, 50]).round(4))
    together = pack.thresholds.together
    for threshold in sorted({round(together + (1 - together) * step / 40, 4) for step in range(-6, 9)}):
        print(f"{threshold:.4f}", end="")
        show(grouped(data, ignored, threshold=threshold, photos=len(people)), people)
    print("provisional, one photo after the other: least similarity and margin")
    step = (1 - together) / 40
    for least in (together, together + 2 * step, pack.thresholds.match, together + 6 * step):
        for margin in (0.0, pack.thresholds.margin):
            print(f"{least:.4f} {margin:.3f}", end="")
            show(arrived(data, ignored, Rules(least, margin, measured=True), photos=len(people)), people)


if __name__ == "__main__":
    main()
