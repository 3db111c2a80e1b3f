"""Exit codes, JSON and tables of the other commands."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import Request

from gallery.cli.main import COMMANDS, gallery
from gallery.runtime.http import ProblemError

Call = Callable[..., Any]

PHOTO = "01990000-0000-7000-8000-0000000000aa"
ANNA = "01990000-0000-7000-8000-00000000a44a"
BEN = "01990000-0000-7000-8000-00000000b411"
PEOPLE = {
    "people": [
        {"id": ANNA, "name": "Anna", "faces": 12, "photos": 9, "cover_face": None},
        {"id": BEN, "name": None, "faces": 3, "photos": 3, "cover_face": None},
    ],
    "unassigned_faces": 5,
}


def test_every_command_is_there_and_described() -> None:
    assert gallery.list_commands(None) == list(COMMANDS)  # type: ignore[arg-type]
    for name in COMMANDS:
        command = gallery.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert command.name == name
        assert command.help


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, gallery.cli.main; print([m for m in ('httpx', 'rich', 'pydantic', 'numpy') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["import"], ["search"], ["people", "--nonsense"], ["up", "--port", "x"]]
)
def test_wrong_usage_is_64(call: Call, arguments: list[str]) -> None:
    assert call(*arguments).code == 64


def test_a_mistake_in_a_query_is_shown_with_its_place(call: Call) -> None:
    result = call("search", "date:x")
    assert result.code == 64
    assert result.err.strip() == "at character 5: date: is followed by a day"


def test_a_query_may_begin_with_a_minus_and_have_many_words(call: Call) -> None:
    assert call("search", "-tag:dog", "person:anna", "--json").json["facets"]["q"] == "-tag:dog person:anna"


def test_people_are_listed(call: Call, fake: Any) -> None:
    fake.people = PEOPLE
    assert call("people", "--json").json == PEOPLE
    shown = call("people").out
    assert "Anna" in shown
    assert "5 faces" in shown


@pytest.mark.parametrize("wanted", [BEN, "b411"])
def test_somebody_is_named(call: Call, fake: Any, wanted: str) -> None:
    fake.people = PEOPLE
    fake.answers("PATCH", f"/people/{BEN}", {"id": BEN, "name": "Ben"})
    assert call("name", wanted, "Ben", "--json").json == {"id": BEN, "name": "Ben"}


def test_nobody_of_this_name_is_wrong_usage(call: Call, fake: Any) -> None:
    fake.people = PEOPLE
    assert call("name", "Carl", "Charles").code == 64


def test_pages_of_faces_become_one_document(call: Call, fake: Any) -> None:
    def page(request: Any) -> Any:
        first = "cursor" not in request.query_params
        return {"faces": [{"id": "1" if first else "2"}], "next": "more" if first else None}

    fake.answers("GET", "/faces", page)
    assert call("faces", "--json").json == {"faces": [{"id": "1"}, {"id": "2"}]}


def test_a_check_that_finds_something_fails(call: Call, fake: Any) -> None:
    finding = {"service": "upload", "kind": "missing", "photo_id": PHOTO, "key": "k"}
    fake.answers("POST", "/verify", {"objects": 4, "findings": [finding]})
    assert call("verify", "--json").code == 1
    assert "missing" in call("verify").out


def test_what_is_not_there_fails_with_its_sentence(call: Call, fake: Any) -> None:
    fake.answers("GET", f"/photos/{PHOTO}", ProblemError(404, "unknown_photo", "There is no photo of this id."))
    result = call("photo", PHOTO)
    assert (result.code, result.err.strip()) == (1, "There is no photo of this id.")


def test_a_photo_is_shown(call: Call, fake: Any) -> None:
    stages = {"faces": {"state": "done", "reason": None, "pack": "p"}, "tags": {"state": "done", "reason": "no_pack"}}
    face = {
        "id": PHOTO,
        "box": [1, 2, 3, 4],
        "score": 0.9,
        "quality": 0.8,
        "person": ANNA,
        "name": "Anna",
        "state": "assigned",
    }
    photo = {
        "id": PHOTO,
        "file": "[x]/a.jpg",
        "tags": [{"label": "dog", "score": 0.71}],
        "stages": stages,
        "faces": [face],
    }
    fake.answers("GET", f"/photos/{PHOTO}", photo)
    shown = call("photo", PHOTO).out
    assert "[x]/a.jpg" in shown
    assert "dog 0.71" in shown
    assert "Anna" in shown
    assert "no_pack" in shown


def test_dead_letters_are_listed_shown_and_replayed(call: Call, fake: Any) -> None:
    letter = {"id": PHOTO, "service": "search", "type": "PhotoChanged", "state": "dead", "cause": "KeyError: [x]"}
    fake.answers("GET", "/dead-letters", {"dead_letters": [letter]})
    fake.answers("GET", f"/dead-letters/{PHOTO}", letter)
    fake.answers("POST", f"/dead-letters/{PHOTO}/replay", {"replayed": 1})
    assert "KeyError: [x]" in call("dead-letters", "list").out
    assert call("dead-letters", "show", PHOTO, "--json").json == letter
    assert call("dead-letters", "replay", PHOTO, "--json").json == {"replayed": 1}


def test_a_server_needs_its_token(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_TOKEN", "wrong")
    assert "token" in call("status").err
    monkeypatch.delenv("GALLERY_TOKEN")
    assert call("status").code == 64


def test_nobody_at_an_address_is_a_failure(call: Call) -> None:
    result = call("status", server="http://127.0.0.1:9")
    assert result.code == 1
    assert "does not answer" in result.err
    assert call("status", server="gallery.example").code == 64


def test_help_comes_at_once() -> None:
    asked = "import sys; from gallery.cli.main import gallery as run; run(['-h'], standalone_mode=False); "
    asked += "print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    imported = {name.partition(".")[0] for name in said.splitlines()[-1].split()}
    assert imported - sys.stdlib_module_names <= {"__main__", "click", "gallery", "_distutils_hack"}, "all else is slow"


def test_the_doctor_says_what_to_do(call: Call, fake: Any) -> None:
    fake.answers("GET", "/dead-letters", {"dead_letters": []})
    healthy = call("doctor", "--json")
    assert healthy.code == 0
    assert {check["check"] for check in healthy.json["checks"]} == {
        "python",
        "disk",
        "gallery",
        "originals",
        "dead letters",
        "packs",
    }


def test_the_doctor_names_what_is_amiss(call: Call, fake: Any) -> None:
    fake.answers("GET", "/dead-letters", {"dead_letters": [{"id": PHOTO}]})
    result = call("doctor")
    assert result.code == 1
    assert "gallery dead-letters list" in result.out


def test_the_doctor_names_photos_whose_originals_are_broken(call: Call, fake: Any) -> None:
    fake.answers("GET", "/dead-letters", {"dead_letters": []})
    fake.faults = [{"photo_id": PHOTO, "kind": "damaged", "found_at": "2026-05-02T01:00:00Z"}] * 7
    result = call("doctor", "--json")
    assert result.code == 1
    (originals,) = [check for check in result.json["checks"] if check["check"] == "originals"]
    assert not originals["ok"]
    assert f"damaged: photo {PHOTO}" in originals["found"]
    assert "and 2 more" in originals["found"]
    assert "backup" in originals["advice"]


def lanes(**backfill: Any) -> dict[str, Any]:
    return {"interactive": {"pending": 0, "done_per_minute": 0, "seconds_left": 0}, "backfill": backfill}


def library(**more: Any) -> dict[str, Any]:
    """A library with a backfill under way."""
    return {
        "library": ANNA,
        "paused": False,
        "weight": 1,
        "lanes": lanes(pending=600, done_per_minute=80.0, seconds_left=450),
        "cost": {"since": None, "photos": 0, "cpu_seconds": 0, "original_bytes": 0, "derived_bytes": 0},
        "held": {"photos": 7, "bytes": 700},
        "quota": {"photos": None, "bytes": None},
        **more,
    }


def test_a_backfill_tells_the_time_that_is_left(call: Call, fake: Any) -> None:
    fake.answers("GET", "/backfill", {"libraries": [library()]})
    assert call("backfill", "list", "--json").json == {"libraries": [library()]}
    said = call("backfill", "list").out
    assert "0:07:30" in said
    assert "holds 7 photos, 700 B" in said
    assert "since" not in said


def test_a_backfill_tells_what_it_has_cost_and_how_much_of_the_quota_is_left(call: Call, fake: Any) -> None:
    cost = {"photos": 1200, "cpu_seconds": 180.4, "original_bytes": 2_990_000_000, "derived_bytes": 342_000_000}
    held = {"held": {"photos": 1200, "bytes": 3 * 10**12}, "quota": {"photos": 5000, "bytes": 4 * 10**12}}
    dear = library(cost={"since": "2026-01-02T03:04:05+00:00", **cost}, **held)
    fake.answers("GET", "/backfill", {"libraries": [dear]})
    said = call("backfill", "list").out
    assert "holds 1200 of 5000 photos, 3 TB of 4 TB" in said
    assert "1200 photos, 0:03:00 of processor time, 2.99 GB of originals, 342 MB of previews" in said


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        (["pause"], {"paused": True}),
        (["resume"], {"paused": False}),
        (["weight", "3"], {"weight": 3}),
        (["quota", "--photos", "100"], {"quota": {"photos": 100}}),
        (["quota", "--size", "1.5GB", "--photos", "none"], {"quota": {"bytes": 1_500_000_000, "photos": None}}),
    ],
)
def test_a_backfill_is_changed(call: Call, fake: Any, arguments: list[str], change: dict[str, Any]) -> None:
    asked: list[Any] = []

    async def answering(request: Request) -> Any:
        asked.append(await request.json())
        return library(paused=True)

    fake.app.add_api_route("/api/v1/backfill", answering, methods=["PATCH"])
    assert "paused" in call("backfill", *arguments).out
    assert asked == [change]


@pytest.mark.parametrize("arguments", [[], ["--photos", "many"], ["--size", "two"], ["--size", "-1"]])
def test_a_quota_is_a_number_or_none(call: Call, fake: Any, arguments: list[str]) -> None:
    fake.answers("PATCH", "/backfill", ProblemError(422, "bad_request", "not below 0"))
    assert call("backfill", "quota", *arguments).code == 64
