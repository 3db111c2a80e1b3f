"""From what somebody asked for to what an index is asked: names become ids, words become terms."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from gallery.ports import search_index as index
from gallery.search import query as asked
from gallery.search.analyser import Analyser, Word, joined
from gallery.search.vocabulary import FIELDS, Vocabulary, Wanted, fields_of, text_of, whole_name

NOTHING = index.AnyOf(())

_LAST_DAY = date.max - timedelta(days=1)


class Resolver:
    """Turns one query into a condition, with the vocabulary of one library."""

    def __init__(self, vocabulary: Vocabulary, analyser: Analyser) -> None:
        self._vocabulary = vocabulary
        self._analyser = analyser

    def condition(self, query: asked.Query) -> index.Condition:
        """The condition that a query means."""
        match query:
            case asked.Everything():
                return index.Everything()
            case asked.Not(part):
                return index.Not(self.condition(part))
            case asked.And(parts):
                return index.All(tuple(map(self.condition, parts)))
            case asked.Or(parts):
                return index.AnyOf(tuple(map(self.condition, parts)))
            case asked.Text() | asked.Person() | asked.Tag() | asked.In():
                return self._words(query)
            case _:
                return _plain(query)

    def _words(self, leaf: asked.Text | asked.Person | asked.Tag | asked.In) -> index.Condition:
        match leaf:
            case asked.Person(name):
                return self._person(name)
            case asked.Text(text):
                return self._anywhere(text)
            case asked.In(asked.Named.FILE, text):
                whole = self._terms(("file",), joined(text))
                return index.HasTerm(whole) if whole else self._within(("file",), text)
            case _:
                above = leaf.above if isinstance(leaf, asked.Tag) else None
                return self._within(fields_of(leaf), text_of(leaf), above=above)

    def _person(self, name: str) -> index.Condition:
        with suppress(ValueError):
            return index.HasPerson(frozenset({UUID(name)}))
        return index.HasPerson(self._vocabulary.people.get(whole_name(name), frozenset()))

    def _anywhere(self, text: str) -> index.Condition:
        """One word: in any field, or a name. Several: all of them in the same field, or a whole name."""
        words = self._analyser.words(text)
        people = self._vocabulary.people.get(whole_name(text), frozenset())
        ways: list[index.Condition] = [index.HasPerson(people)] if people else []
        if len(words) == 1:
            ways += self._anywhere_word(words[0])
        else:
            ways += [self._within(FIELDS, text, only=field) for field in FIELDS if words]
        return index.AnyOf(tuple(ways))

    def _anywhere_word(self, word: Word) -> list[index.Condition]:
        similar = self._vocabulary.similar_people.get(word.term, frozenset())
        ways: list[index.Condition] = [index.HasPerson(similar)] if similar else []
        if terms := self._terms(FIELDS, word.term):
            ways.append(index.HasTerm(terms))
        elif word.parts and word.term not in self._vocabulary.people:
            ways += [self._all_of([self._terms(FIELDS, part, only=field) for part in word.parts]) for field in FIELDS]
        return ways

    def _within(
        self, fields: tuple[str, ...], text: str, *, only: str | None = None, above: float | None = None
    ) -> index.Condition:
        """All words of a text in one field; where a word of letters and digits is unknown, its parts."""
        wanted: list[frozenset[str]] = []
        for word in self._analyser.words(text):
            terms = self._terms(fields, word.term, only=only)
            if terms or not word.parts:
                wanted.append(terms)
            else:
                wanted += [self._terms(fields, part, only=only) for part in word.parts]
        return self._all_of(wanted, above=above)

    def _terms(self, fields: tuple[str, ...], word: str, *, only: str | None = None) -> frozenset[str]:
        terms = self._vocabulary.terms.get(Wanted(fields, word), frozenset())
        return frozenset(term for term in terms if only is None or term.startswith(f"{only}:"))

    @staticmethod
    def _all_of(wanted: Sequence[frozenset[str]], *, above: float | None = None) -> index.Condition:
        if not wanted or not all(wanted):
            return NOTHING
        return index.All(tuple(index.HasTerm(terms, above) for terms in wanted))


def _plain(leaf: asked.Type | asked.Taken | asked.Uploaded | asked.Faces | asked.Near) -> index.Condition:
    match leaf:
        case asked.Type(kind):
            return index.HasTerm(frozenset({f"type:{kind}"}))
        case asked.Taken(days):
            start, end = _span(days)
            return index.TakenBetween(start, end)
        case asked.Uploaded(days):
            start, end = _span(days)
            return index.UploadedBetween(start.replace(tzinfo=UTC), end.replace(tzinfo=UTC))
        case asked.Faces(least, most):
            return index.FaceCount(least, most)
        case asked.Near():
            return index.Near(leaf.latitude, leaf.longitude, leaf.kilometres)


def _span(days: asked.Days) -> tuple[datetime, datetime]:
    """From the first moment of the first day to the first after the last."""
    start = datetime.combine(days.first or date.min, time.min)
    # Days without a year 10000 after them, nor a photo.
    last = min(days.last or _LAST_DAY, _LAST_DAY)
    return start, datetime.combine(last + timedelta(days=1), time.min)
