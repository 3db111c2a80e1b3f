"""Composing what can be found of one photo from what its owners know."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath
from uuid import UUID

from gallery.ports.search_index import Document
from gallery.search.analyser import Analyser, joined
from gallery.search.domain import Composed
from gallery.search.facts import AnalysisFacts, PhotoFacts, PlaceNames
from gallery.search.query import Kind

MOST_TERMS = 1000
"""Of one document; a path made to harm has no more than this."""


class Composer:
    """Makes documents; the language is that of the analyser."""

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser

    def compose(
        self, photo: PhotoFacts, analysis: AnalysisFacts | None, *, library_id: UUID, revision: int
    ) -> Composed:
        """Compose a document; ``revision`` is its own."""
        scores = self._tag_scores(analysis)
        assigned = [face.person_id for face in photo.faces if face.person_id and face.state == "assigned"]
        counted = sum(face.state != "ignored" for face in photo.faces)
        document = Document(
            photo_id=photo.id,
            library_id=library_id,
            revision=revision,
            taken_at=_local_time(photo),
            uploaded_at=_aware(photo.uploaded_at),
            terms=frozenset(sorted(self._terms(photo) | scores.keys())[:MOST_TERMS]),
            tag_scores=scores,
            person_ids=frozenset(assigned),
            faces=counted,
            unresolved_faces=counted - len(assigned),
            position=(photo.gps.latitude, photo.gps.longitude) if photo.gps else None,
        )
        labels = tuple(dict.fromkeys(tag.label for tag in analysis.tags)) if analysis else ()
        return Composed(document, photo.revision, labels)

    def _tag_scores(self, analysis: AnalysisFacts | None) -> dict[str, float]:
        scores: dict[str, float] = {}
        for tag in analysis.tags if analysis else ():
            for term in self._analyser.terms(tag.label):
                scores[f"tag:{term}"] = max(tag.score, scores.get(f"tag:{term}", 0.0))
        return scores

    def _terms(self, photo: PhotoFacts) -> set[str]:
        terms = {f"file:{term}" for term in self._analyser.terms(photo.file) | _file_names(photo.file)}
        terms |= {f"camera:{term}" for term in self._analyser.terms(photo.camera or "")}
        terms |= {f"place:{term}" for term in self._place_terms(photo.place)}
        kind = Kind.VIDEO if photo.media_type.startswith("video/") else Kind.PHOTO
        return terms | {f"type:{kind}"}

    def _place_terms(self, place: PlaceNames | None) -> frozenset[str]:
        names = [place.city, place.region, place.country, place.country_code] if place else []
        return frozenset().union(*(self._analyser.terms(name) for name in names if name))


def _file_names(path: str) -> set[str]:
    """Each folder and the file as one term, the file with and without its extension."""
    parts = PurePosixPath(path).parts
    names = {joined(part) for part in parts} | {joined(PurePosixPath(part).stem) for part in parts[-1:]}
    return names - {""}


def _local_time(photo: PhotoFacts) -> datetime:
    """The camera's clock. Without a time of its own a photo stands where it came in, in UTC."""
    taken = photo.taken_at or _aware(photo.uploaded_at)
    if taken.tzinfo is not None and photo.taken_at and photo.offset_minutes is not None:
        taken = taken.astimezone(timezone(timedelta(minutes=photo.offset_minutes)))
    return taken.replace(tzinfo=None)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
