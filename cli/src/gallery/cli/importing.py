"""Importing: find, upload what is new, wait until everything has ended, sum up."""

import time

from gallery.cli.connection import Connection
from gallery.cli.found import Found, Rejected
from gallery.cli.leaving import Leaving
from gallery.cli.summary import Progress, Summary
from gallery.cli.taken import Taken
from gallery.cli.uploading import Uploading
from gallery.cli.waiting import Waiting, progress_of


def bring_in(
    connection: Connection, found: Found, *, lane: str, wait: bool, in_place: bool, progress: Progress
) -> Summary:
    """Import what was found.

    Args:
        connection: The gallery.
        found: Files, and what is none.
        lane: Which queue they join.
        wait: Until they have ended.
        in_place: Leave them where they are, and have the gallery read them there.
        progress: Shows a bar for each stage.

    Raises:
        CommandError: The gallery cannot take more, or went away; a second run goes on where this one stopped.
    """
    began = time.monotonic()
    summary = Summary(
        found=len(found.sources) + len(found.rejected), ignored=found.ignored, rejected=list(found.rejected)
    )
    if found.sources:
        waiting = Waiting(connection, progress)
        taken = Taken(len(found.sources), progress=progress, summary=summary)
        way_in = Leaving if in_place else Uploading
        way_in(connection, lane=lane, taken=taken).run(found.sources)
        if wait:
            waiting.until_ended([*taken.accepted, *taken.stored_before], new=summary.accepted)
        _sum_up_photos(connection, taken, summary)
    _sum_up_people(connection, summary)
    summary.seconds = round(time.monotonic() - began, 1)
    return summary


def _sum_up_photos(connection: Connection, taken: Taken, summary: Summary) -> None:
    end = progress_of(connection, list(taken.accepted))
    summary.done = end["done"]
    summary.failed = end["failed"]
    summary.rejected += [
        Rejected(taken.accepted[entry["photo_id"]].file, entry["code"], entry["detail"]) for entry in end["rejected"]
    ]


def _sum_up_people(connection: Connection, summary: Summary) -> None:
    """A person to count has two faces at least, named or not."""
    answer = connection.get("/people")
    faces = [person["faces"] for person in answer["people"]]
    summary.people = sum(count > 1 for count in faces)
    summary.unassigned_faces = answer["unassigned_faces"]
    summary.faces = sum(faces) + summary.unassigned_faces
