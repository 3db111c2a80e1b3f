"""A bucket imported without copying it, and what becomes of it in its owner's hands."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from PIL import Image
from support.command import Gallery
from support.engines.versitygw import Versitygw

pytestmark = pytest.mark.engine

PHOTOS = 4


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((1600, 1200), 10 + shade).convert("RGB").save(out, "JPEG", quality=95)
    return out.getvalue()


class Archive:
    """Somebody's bucket of photos."""

    def __init__(self, engine: Versitygw) -> None:
        self.name = engine.settings().s3_bucket
        self.settings = {
            "GALLERY_IN_PLACE": f"s3://{self.name}/photos",
            "GALLERY_IN_PLACE_ENDPOINT": engine.url,
            "GALLERY_IN_PLACE_KEY_ID": engine.key_id,
            "GALLERY_IN_PLACE_SECRET": engine.secret,
            "GALLERY_IMPORT_ENDPOINT": engine.url,
            "AWS_ACCESS_KEY_ID": engine.key_id,
            "AWS_SECRET_ACCESS_KEY": engine.secret,
            "AWS_DEFAULT_REGION": engine.region,
        }
        self._client = engine.client()
        self.close = self._client.close

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self.name, Key=key, Body=content)

    def move(self, key: str, target: str) -> None:
        self.put(target, self.content(key))
        self._client.delete_object(Bucket=self.name, Key=key)

    def content(self, key: str) -> bytes:
        return bytes(self._client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def objects(self) -> dict[str, bytes]:
        listed = self._client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {each["Key"]: self.content(each["Key"]) for each in listed}


@pytest.fixture
def archive(versitygw: Versitygw) -> Iterator[Archive]:
    with closing(Archive(versitygw)) as opened:
        for number in range(PHOTOS):
            opened.put(f"photos/Anna's wedding/IMG_{number}.jpg", picture(number))
        opened.put("private/diary.jpg", picture(99))
        yield opened


def original(gallery: Gallery, photo: str) -> httpx.Response:
    address = json.loads((gallery.data / "gallery.json").read_text())["url"]
    token = (gallery.data / "owner.token").read_text().strip()
    return httpx.get(f"{address}/api/v1/photos/{photo}/original", headers={"authorization": f"Bearer {token}"})


def ids(gallery: Gallery) -> dict[str, str]:
    """Photos by file name."""
    return {hit["file"]: hit["id"] for hit in gallery.json("search", "type:photo")["photos"]}


def kept(data: Path) -> int:
    """Bytes of originals in the gallery's own store."""
    return sum(file.stat().st_size for file in (data / "blobs/objects/originals").rglob("*") if file.is_file())


def test_a_bucket_is_imported_where_it_lies_and_watched_over(archive: Archive, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "data", settings=archive.settings)
    before = archive.objects()
    place = f"s3://{archive.name}/photos/"
    with gallery.up():
        refused = gallery.call("import", "--in-place", f"s3://{archive.name}/private/")
        assert (refused.returncode, "in_place does not name it" in refused.stderr) == (1, True)
        summary = gallery.json("import", "--in-place", place)
        assert (summary["accepted"], summary["done"], summary["rejected"]) == (PHOTOS, PHOTOS, [])
        assert kept(gallery.data) < 1000 * PHOTOS < sum(map(len, before.values())), "nothing is copied"
        photos = ids(gallery)
        for file, photo in photos.items():
            assert original(gallery, photo).content == before[f"photos/{file}"]
            assert gallery.json("photo", photo)["dimensions"] == [1600, 1200]
        assert gallery.json("verify")["findings"] == []
        again = gallery.json("import", "--in-place", place)
        assert (again["already_stored"], again["accepted"]) == (PHOTOS, 0)
        assert archive.objects() == before

        archive.put("photos/Anna's wedding/IMG_0.jpg", b"\xff\xd8\xff painted over")
        archive.move("photos/Anna's wedding/IMG_1.jpg", "photos/2025/renamed.jpg")
        found = gallery.json("verify", code=1)["findings"]
        gone = {photos[f"Anna's wedding/IMG_{number}.jpg"]: kind for number, kind in ((0, "changed"), (1, "missing"))}
        assert {finding["photo_id"]: finding["kind"] for finding in found} == gone
        assert original(gallery, photos["Anna's wedding/IMG_0.jpg"]).status_code == 410

        gallery.call("import", "--in-place", place)
        [finding] = gallery.json("verify", code=1)["findings"]
        assert finding["photo_id"] == photos["Anna's wedding/IMG_0.jpg"], "what was moved is found again"
        moved = photos["Anna's wedding/IMG_1.jpg"]
        assert original(gallery, moved).content == before["photos/Anna's wedding/IMG_1.jpg"]
    log = (tmp_path / "data.log").read_text()
    assert "wedding" not in log, "names that people gave are in no log"
