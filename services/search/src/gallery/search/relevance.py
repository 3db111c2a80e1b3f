"""How well a photo answers a query. It is shown; the order of hits stays that of time."""

from gallery.ports.search_index import All, AnyOf, Condition, HasPerson, HasTerm
from gallery.search.domain import LivePhoto


def relevance(photo: LivePhoto, condition: Condition) -> float:
    """Score a hit, 0 to 1.

    A person, or a term of a file name, camera or place counts 1; a tag counts its score. Conditions side by side give
    their mean, alternatives the best of them. What only sifts (dates, faces, distance, minus) does not count; a query
    of nothing else gives 1.
    """
    score = _score(photo, condition)
    return 1.0 if score is None else round(score, 4)


def _score(photo: LivePhoto, condition: Condition) -> float | None:
    match condition:
        case HasTerm(any_of):
            return max((photo.tag_scores.get(term, 1.0) for term in any_of & photo.terms), default=0.0)
        case HasPerson(any_of):
            return float(not any_of.isdisjoint(photo.person_ids))
        case All(parts):
            scores = _scores(photo, parts)
            return sum(scores) / len(scores) if scores else None
        case AnyOf(parts):
            return max(_scores(photo, parts), default=None)
        case _:
            return None


def _scores(photo: LivePhoto, parts: tuple[Condition, ...]) -> list[float]:
    return [score for part in parts if (score := _score(photo, part)) is not None]
