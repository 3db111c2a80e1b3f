"""Commands that ask: who and what was found."""

from typing import Any

import click

from gallery.cli import output
from gallery.cli.answering import as_json_option, ask, tell
from gallery.cli.connection import Connection, connected
from gallery.cli.errors import UsageError
from gallery.cli.main import Target


@click.command()
@as_json_option
@click.pass_obj
def people(target: Target, *, as_json: bool) -> None:
    """Who was found."""
    tell(ask(target, "/people"), as_json=as_json, show=_show_people)


def _show_people(answer: dict[str, Any]) -> None:
    rows = [(person["id"], person["name"], person["faces"], person["photos"]) for person in answer["people"]]
    output.table(["id", "name", "faces", "photos"], rows, empty="nobody yet")
    output.say(f"{answer['unassigned_faces']} faces of nobody yet")


@click.command()
@as_json_option
@click.pass_obj
def faces(target: Target, *, as_json: bool) -> None:
    """Every face."""
    with connected(target.data, server=target.server) as connection:
        found = list(connection.pages("/faces", "faces", limit=500))
    tell({"faces": found}, as_json=as_json, show=_show_faces)


def _show_faces(answer: dict[str, Any]) -> None:
    columns = ("id", "file", "state", "person")
    output.table(columns, [[face[column] for column in columns] for face in answer["faces"]], empty="no faces")


@click.command()
@click.argument("face_id", metavar="ID")
@as_json_option
@click.pass_obj
def face(target: Target, face_id: str, *, as_json: bool) -> None:
    """One face, with the evidence for its assignment or why it has none."""
    tell(ask(target, f"/faces/{face_id}"), as_json=as_json)


@click.command()
@click.argument("photo_id", metavar="ID")
@as_json_option
@click.pass_obj
def photo(target: Target, photo_id: str, *, as_json: bool) -> None:
    """Everything known of one photo."""
    tell(ask(target, f"/photos/{photo_id}"), as_json=as_json, show=output.photo)


@click.command()
@click.argument("person")
@click.argument("name")
@as_json_option
@click.pass_obj
def name(target: Target, person: str, name: str, *, as_json: bool) -> None:
    """Say who somebody is; PERSON is an id, the end of one, or the present name."""
    with connected(target.data, server=target.server) as connection:
        found = _person(connection, person)
        answer = connection.ask("PATCH", f"/people/{found['id']}", json={"name": name})
    said = f"{name}: {found['faces']} faces in {found['photos']} photos"
    tell(answer, as_json=as_json, show=lambda _: output.say(said))


def _person(connection: Connection, wanted: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        person
        for person in connection.get("/people")["people"]
        if person["id"] == wanted or person["name"] == wanted or person["id"].endswith(wanted.lower())
    ]
    if len(found) == 1:
        return found[0]
    problem = "is nobody here" if not found else f"could be {len(found)} people"
    raise UsageError(f"{wanted} {problem}: see gallery people")


@click.command(context_settings={"ignore_unknown_options": True})  # a query may begin with a minus
@click.argument("query", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True)
@click.option("--cursor", help="What `next` of the page before said.")
@as_json_option
@click.pass_obj
def search(target: Target, query: tuple[str, ...], *, limit: int, cursor: str | None, as_json: bool) -> None:
    """Find photos, such as: person:anna date:2024 -tag:beach."""
    parameters = {"q": " ".join(query), "limit": limit} | ({"cursor": cursor} if cursor else {})
    tell(ask(target, "/search", params=parameters), as_json=as_json, show=_show_found)


def _show_found(answer: dict[str, Any]) -> None:
    rows = [
        (found["id"], _moment(found["taken_at"]), found["file"], _named(found["people"])) for found in answer["photos"]
    ]
    output.table(["id", "taken", "file", "people"], rows, empty="nothing found")
    if rows:
        output.say(
            f"{len(rows)} of {answer['total']}" + (f"; go on with --cursor {answer['next']}" if answer["next"] else "")
        )


def _moment(taken_at: str | None) -> str:
    """A time to the minute, as the clock at the place showed it."""
    return "" if taken_at is None else taken_at[:16].replace("T", " ")


def _named(people: list[dict[str, Any]]) -> str:
    """Names of people in a photo; the unnamed ones as a number."""
    names = sorted(person["name"] for person in people if person["name"])
    unnamed = len(people) - len(names)
    return ", ".join([*names, f"{unnamed} unnamed"] if unnamed else names)


@click.command()
@as_json_option
@click.pass_obj
def status(target: Target, *, as_json: bool) -> None:
    """The ledger: per stage what is pending, done, failed, rejected."""
    tell(ask(target, "/status"), as_json=as_json, show=_show_status)


def _show_status(answer: dict[str, Any]) -> None:
    states = ("pending", "done", "failed", "rejected")
    rows = [(stage, *(counts[state] for state in states)) for stage, counts in answer["stages"].items()]
    output.table(["stage", *states], rows, empty="no stages")
    verdict = "everything adds up" if answer["consistent"] else "the ledger does NOT add up: run gallery events resync"
    output.say(f"{answer['photos']} photos; {verdict}")
    output.facts(
        {
            "oldest pending": f"{answer['oldest_pending_seconds']:.0f} s"
            if answer.get("oldest_pending_seconds")
            else "",
            "packs": answer.get("packs"),
            "without a pack": answer.get("without_pack"),
            "notices": "\n".join(answer.get("notices", [])),
        }
    )


@click.command()
@as_json_option
@click.pass_obj
def packs(target: Target, *, as_json: bool) -> None:
    """The model packs: which are described, had, and in use."""
    tell(ask(target, "/packs"), as_json=as_json, show=_show_packs)


def _show_packs(answer: dict[str, Any]) -> None:
    told = {True: "yes", False: "no"}
    columns = ("name", "kind", "licence", "there", "in_use")
    rows = [[told.get(pack.get(column), pack.get(column)) for column in columns] for pack in answer["packs"]]
    output.table(["name", "of", "licence", "there", "in use"], rows, empty="no packs")


COMMANDS = {
    "people": people,
    "faces": faces,
    "face": face,
    "photo": photo,
    "name": name,
    "search": search,
    "status": status,
    "packs": packs,
}
