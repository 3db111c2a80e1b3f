"""How documents and conditions are written for Elasticsearch.

Everything is matched as it is: terms and ids are keywords, times are microseconds in whole numbers (``date`` keeps
milliseconds and ``date_nanos`` begins in 1970), and nothing is analysed. A field whose meaning changes gets a new name:
while a new version of the index is filled, each document is also written to the old one, with the fields known there.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from gallery.ports.search_index import (
    All,
    AnyOf,
    Condition,
    Document,
    Everything,
    FaceCount,
    HasPerson,
    HasTerm,
    Near,
    Not,
    Place,
    TakenBetween,
    UploadedBetween,
)

Json = dict[str, Any]

Action = tuple[Json, Json]
"""A line of a bulk request, and the document that goes with it."""

MAPPING: Json = {
    "dynamic": "strict",
    "_routing": {"required": True},
    "properties": {
        "library_id": {"type": "keyword"},
        # Only what may be found has it; the graves of forgotten photos and the words of the dictionary lack it.
        "live": {"type": "boolean"},
        "photo_id": {"type": "keyword"},
        "taken_at": {"type": "long"},
        "uploaded_at": {"type": "long"},
        "terms": {"type": "keyword"},
        "tag_scores": {
            "type": "nested",
            "properties": {"term": {"type": "keyword"}, "score": {"type": "double"}},
        },
        "person_ids": {"type": "keyword"},
        "faces": {"type": "integer"},
        "unresolved_faces": {"type": "integer"},
        "position": {"type": "geo_point"},
        "word": {"type": "keyword"},
        "word_length": {"type": "integer"},
    },
}

TIMELINE = [{"taken_at": "desc"}, {"photo_id": "desc"}]
"""The order of hits; ids are compared as text, which for UUIDs is their order as numbers."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING: Json = {"match_none": {}}
_MOST_FACES = 2**31 - 1


def keeping(document: Document) -> Action:
    """Write a document over an older one. The scores of tags that are no terms are left out: nothing asks for them."""
    scores = [{"term": term, "score": score} for term, score in document.tag_scores.items() if term in document.terms]
    written: Json = {
        "library_id": str(document.library_id),
        "live": True,
        "photo_id": str(document.photo_id),
        "taken_at": _microseconds(document.taken_at),
        "uploaded_at": _microseconds(document.uploaded_at),
        "terms": sorted(document.terms),
        "tag_scores": scores,
        "person_ids": sorted(map(str, document.person_ids)),
        "faces": document.faces,
        "unresolved_faces": document.unresolved_faces,
    }
    if document.position is not None:
        latitude, longitude = document.position
        written["position"] = {"lat": latitude, "lon": longitude}
    return _over_older(document.library_id, document.photo_id, document.revision), written


def forgetting(library_id: UUID, photo_id: UUID, *, revision: int) -> Action:
    """Write a grave over an older document."""
    return _over_older(library_id, photo_id, revision), {"library_id": str(library_id)}


def learning(document: Document) -> dict[str, Action]:
    """Write the terms of letters only into the library's dictionary; by the id of each entry."""
    library = str(document.library_id)
    entries: dict[str, Action] = {}
    for term in document.terms:
        word = term.partition(":")[2]
        if word.isalpha():
            entry = str(uuid5(document.library_id, term))
            header = {"create": {"_id": entry, "routing": library}}
            entries[entry] = (header, {"library_id": library, "word": term, "word_length": len(word)})
    return entries


def _over_older(library_id: UUID, photo_id: UUID, revision: int) -> Json:
    """The tenant is part of the id, so that no library can write over another's."""
    identity = {"_id": f"{library_id}:{photo_id}", "routing": str(library_id)}
    return {"index": {**identity, "version": revision, "version_type": "external_gte"}}


def place(sort: list[Any]) -> Place:
    """Read where a hit stands in the timeline."""
    taken_at, photo_id = sort
    return Place((_EPOCH + timedelta(microseconds=taken_at)).replace(tzinfo=None), UUID(photo_id))


def behind(after: Place) -> list[Any]:
    """Write a place for ``search_after``."""
    return [_microseconds(after.taken_at), str(after.photo_id)]


def matching(library_id: UUID, condition: Condition) -> Json:
    """Write what documents of a library must fulfil; nothing is scored."""
    return _every({"term": {"library_id": str(library_id)}}, {"term": {"live": True}}, query(condition))


def words_between(library_id: UUID, shortest: int, longest: int) -> Json:
    """Write which entries of a library's dictionary are of such a length."""
    return _every(
        {"term": {"library_id": str(library_id)}}, {"range": {"word_length": {"gte": shortest, "lte": longest}}}
    )


def query(condition: Condition) -> Json:  # noqa: PLR0911 - one answer per kind of condition
    """Write a condition of at most `gallery.ports.search_index.DEEPEST` levels.

    The engine reads 30 (``indices.query.bool.max_nested_depth``); `matching` and the scores of tags add four.
    """
    match condition:
        case Everything():
            return {"match_all": {}}
        case All(parts):
            return _every(*map(query, parts))
        case AnyOf(()):
            return _NOTHING
        case AnyOf(parts):
            return {"bool": {"should": list(map(query, parts))}}
        case Not(part):
            return {"bool": {"must_not": [query(part)]}}
        case HasPerson(any_of):
            return {"terms": {"person_ids": sorted(map(str, any_of))}}
        case TakenBetween(start, end):
            return _between("taken_at", start, end)
        case UploadedBetween(start, end):
            return _between("uploaded_at", start, end)
        case _:
            return _measured(condition)


def _every(*parts: Json) -> Json:
    return {"bool": {"filter": list(parts)}}


def _measured(condition: HasTerm | FaceCount | Near) -> Json:
    match condition:
        case HasTerm(any_of, None):
            return {"terms": {"terms": sorted(any_of)}}
        case HasTerm(any_of, above):
            scored = _every(
                {"terms": {"tag_scores.term": sorted(any_of)}}, {"range": {"tag_scores.score": {"gt": above}}}
            )
            return {"nested": {"path": "tag_scores", "query": scored, "ignore_unmapped": True}}
        case FaceCount(least, most):
            # Beyond what the field can hold, the engine refuses the question.
            bounds = {"gte": min(least, _MOST_FACES), "lte": _MOST_FACES if most is None else min(most, _MOST_FACES)}
            return {"range": {"faces": bounds}}
        case Near():
            centre = {"lat": condition.latitude, "lon": condition.longitude}
            return {"geo_distance": {"distance": f"{condition.kilometres!r}km", "position": centre}}


def _between(field: str, start: datetime, end: datetime) -> Json:
    return {"range": {field: {"gte": _microseconds(start), "lt": _microseconds(end)}}}


def _microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970, of the clock on the wall where there is no zone."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)
