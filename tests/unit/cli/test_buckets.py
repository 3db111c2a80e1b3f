"""``gallery import s3://…``: from a real bucket, over a link that breaks, and again without reading anything twice."""

import hashlib
import itertools
import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.engines.versitygw import Versitygw
from support.tcp_faults import Cut, TcpFaults

from gallery.cli import buckets, sending, waiting
from gallery.cli.digest_notes import FILE, DigestNotes

Call = Callable[..., Any]
TRIP = "photos/Takeout/Google Photos/Rome"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "ASK_EVERY_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "QUIET_FOR_SECONDS", 0.01)


def photo(name: str, size: int = 100) -> bytes:
    return b"\xff\xd8\xff\xe0" + name.encode() + bytes(size)


class Store:
    """A bucket of the server, filled through its API."""

    def __init__(self, engine: Versitygw) -> None:
        self.bucket = engine.settings().s3_bucket
        self._client = engine.client()

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def store(versitygw: Versitygw, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GALLERY_IMPORT_ENDPOINT", versitygw.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", versitygw.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", versitygw.secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", versitygw.region)
    with closing(Store(versitygw)) as opened:
        yield opened


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the objects whose content was asked for."""
    keys: list[str] = []
    body = buckets._Bucket.body

    def counting(bucket: Any, listed: Any, start: int) -> Any:
        keys.append(listed.key)
        return body(bucket, listed, start)

    monkeypatch.setattr(buckets._Bucket, "body", counting)
    return keys


@pytest.mark.engine
def test_a_prefix_is_imported_with_its_sidecars(call: Call, fake: Any, store: Store, tmp_path: Path) -> None:
    store.put(f"{TRIP}/IMG_1.jpg", photo("1", 3_000_000))
    store.put(f"{TRIP}/IMG_1.jpg.json", json.dumps({"description": "At the fountain"}).encode())
    store.put("photos/scan", photo("scan"))
    store.put("photos/notes.txt", b"text")
    store.put("photos/.hidden/a.jpg", photo("hidden"))
    store.put("photos/part.zip", b"PK")
    store.put("elsewhere/a.jpg", photo("elsewhere"))
    result = call("--data", tmp_path, "import", f"s3://{store.bucket}/photos/", "--json")
    summary = result.json
    assert (summary["found"], summary["accepted"], summary["ignored"]) == (3, 2, 2)
    assert [(entry["path"], entry["code"]) for entry in summary["rejected"]] == [("part.zip", "archive_in_bucket")]
    sent = {entry["path"]: entry for entry in fake.received}
    assert set(sent) == {"Takeout/Google Photos/Rome/IMG_1.jpg", "scan"}
    assert json.loads(sent["Takeout/Google Photos/Rome/IMG_1.jpg"]["said"])["description"] == "At the fountain"
    assert all(entry["modified"] for entry in fake.received)


@pytest.mark.engine
def test_a_second_run_reads_only_what_has_changed(
    call: Call, fake: Any, store: Store, tmp_path: Path, asked_for: list[str]
) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        store.put(name, photo(name))
    place = f"s3://{store.bucket}"
    assert call("--data", tmp_path, "import", place, "--json").json["accepted"] == 3
    asked_for.clear()
    again = call("--data", tmp_path, "import", place, "--json").json
    assert (again["found"], again["already_stored"]) == (3, 3)
    assert asked_for == []
    store.put("b.jpg", photo("another b"))
    third = call("--data", tmp_path, "import", place, "--json").json
    assert (third["accepted"], third["already_stored"]) == (1, 2)
    assert set(asked_for) == {"b.jpg"}
    assert len(fake.received) == 4


@pytest.mark.engine
def test_what_stays_in_place_is_neither_read_nor_sent(
    call: Call, fake: Any, store: Store, tmp_path: Path, asked_for: list[str]
) -> None:
    for name in ("trip/a.jpg", "trip/b.jpg", "trip/copy of b.jpg"):
        content = photo(name.replace("copy of ", ""))
        store.put(name, content)
        fake.lying[f"s3://{store.bucket}/{name}"] = content
    store.put("trip/a.jpg.json", json.dumps({"description": "At the fountain"}).encode())
    place = f"s3://{store.bucket}/trip/"
    summary = call("--data", tmp_path, "import", "--in-place", place, "--json").json
    assert (summary["found"], summary["accepted"], summary["already_stored"], summary["done"]) == (3, 2, 1, 2)
    assert asked_for == ["trip/a.jpg.json"], "the gallery reads them, and the command their sidecars"
    [wish] = [each for each in fake.received if each["path"] == "a.jpg"]
    assert (wish["place"], wish["lane"]) == (f"s3://{store.bucket}/trip/a.jpg", "backfill")
    assert wish["said"]["description"] == "At the fountain"

    fake.received.clear()
    again = call("--data", tmp_path, "import", "--in-place", place, "--json").json
    assert (again["already_stored"], fake.received) == (3, [])
    changed = photo("another b")
    store.put("trip/b.jpg", changed)
    fake.lying[f"s3://{store.bucket}/trip/b.jpg"] = changed
    third = call("--data", tmp_path, "import", "--in-place", place, "--json").json
    assert (third["accepted"], [each["path"] for each in fake.received]) == (1, ["b.jpg"])

    store.put("trip/c.jpg", photo("c"))
    fake.lying[f"s3://{store.bucket}/trip/c.jpg"] = b""
    fake.unreadable.add(f"s3://{store.bucket}/trip/c.jpg")
    last = call("--data", tmp_path, "import", "--in-place", place, "--json").json
    assert (last["found"], last["already_stored"]) == (4, 3), "one that cannot be read does not hold up the others"
    assert [(each["path"], each["code"]) for each in last["rejected"]] == [("c.jpg", "place_unreadable")]


@pytest.mark.engine
def test_what_the_gallery_has_lost_is_offered_again(call: Call, fake: Any, store: Store, tmp_path: Path) -> None:
    for name in ("a.jpg", "copy.jpg", "b.jpg"):
        store.put(name, photo(name.replace("copy", "a")))
        fake.lying[f"s3://{store.bucket}/{name}"] = photo(name.replace("copy", "a"))
    place = f"s3://{store.bucket}"
    assert call("--data", tmp_path, "import", "--in-place", place, "--json").json["accepted"] == 2
    lost = fake.stored[hashlib.sha256(photo("a.jpg")).hexdigest()]
    fake.faults = [{"photo_id": lost, "kind": "missing", "found_at": "2026-05-02T01:00:00Z"}]
    store.remove("a.jpg")
    fake.received.clear()
    assert call("--data", tmp_path, "import", "--in-place", place, "--json").json["already_stored"] == 2
    assert [each["path"] for each in fake.received] == ["copy.jpg"], "its twin may stand in for it"


@pytest.mark.engine
def test_files_of_one_name_in_two_places_are_two(call: Call, fake: Any, store: Store, tmp_path: Path) -> None:
    places = [f"s3://{store.bucket}/{folder}/" for folder in ("anna", "ben")]

    def put(name: str) -> None:
        store.put(name, photo(name))
        fake.lying[f"s3://{store.bucket}/{name}"] = photo(name)

    put("ben/a.jpg")
    assert call("--data", tmp_path, "import", "--in-place", places[1], "--json").json["accepted"] == 1
    put("anna/a.jpg")
    both = call("--data", tmp_path, "import", "--in-place", *places, "--json").json
    assert (both["accepted"], both["already_stored"]) == (1, 1)


@pytest.mark.engine
def test_a_bucket_that_the_gallery_may_not_refer_to_ends_the_import(
    call: Call, fake: Any, store: Store, tmp_path: Path
) -> None:
    store.put("a.jpg", photo("a"))
    fake.away = 2
    result = call("--data", tmp_path, "import", "--in-place", f"s3://{store.bucket}")
    assert (result.code, "not from there" in result.err) == (1, True)
    assert len(fake.received) == 3, "a bucket that is away for a moment is asked again"


def test_only_what_lies_in_a_bucket_can_stay_there(call: Call, tmp_path: Path) -> None:
    result = call("--data", tmp_path, "import", "--in-place", tmp_path)
    assert (result.code, "name s3://BUCKET/PREFIX" in result.err) == (64, True)


@pytest.mark.engine
def test_broken_connections_lose_nothing(
    call: Call,
    store: Store,
    versitygw: Versitygw,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked_for: list[str],
) -> None:
    store.put("large.jpg", photo("large", 2_000_000))
    with TcpFaults(versitygw.port) as link:
        monkeypatch.setenv("GALLERY_IMPORT_ENDPOINT", f"http://127.0.0.1:{link.port}")
        link.down.cut_after(700_000, again=itertools.repeat(900_000))
        link.down.cut = Cut.HALF_CLOSE
        summary = call("--data", tmp_path, "import", f"s3://{store.bucket}", "--json").json
    assert (summary["accepted"], summary["rejected"]) == (1, [])
    assert len(asked_for) > 2  # once to hash, once to send, and where it broke


@pytest.mark.engine
def test_what_is_not_there_is_wrong_usage(call: Call, store: Store, tmp_path: Path) -> None:
    result = call("--data", tmp_path, "import", f"s3://{store.bucket}/nowhere/")
    assert (result.code, "is not there" in result.err) == (64, True)
    assert call("--data", tmp_path, "import", "s3://no-such-bucket/x").code == 64


def test_a_place_names_its_bucket(call: Call, tmp_path: Path) -> None:
    result = call("--data", tmp_path, "import", "s3://")
    assert (result.code, "names no bucket" in result.err) == (64, True)


def test_without_boto3_a_sentence_says_what_is_missing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    result = call("--data", tmp_path, "import", "s3://bucket/prefix")
    assert (result.code, "gallery-cli[bucket]" in result.err) == (1, True)


def test_notes_know_one_version_of_one_place(tmp_path: Path) -> None:
    with closing(DigestNotes(tmp_path / "new")) as notes:
        notes.of("here a", version="1", size=5).keep("aa")
        assert notes.of("here a", version="1", size=5).recall() == "aa"
    with closing(DigestNotes(tmp_path / "new")) as again:
        assert again.of("here a", version="1", size=5).recall() == "aa"
        assert again.of("here a", version="2", size=5).recall() is None
        assert again.of("here a", version="1", size=6).recall() is None
        assert again.of("here b", version="1", size=5).recall() is None


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_notes_that_are_damaged_cost_only_time(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with closing(DigestNotes(tmp_path)) as notes:
        note = notes.of("here", version="1", size=5)
        note.keep("aa")
        assert note.recall() in {None, "aa"}
