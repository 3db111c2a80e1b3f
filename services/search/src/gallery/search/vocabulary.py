"""Which terms and people the words of a query stand for: themselves, or what was probably meant."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from gallery.ports.search_index import SearchIndex
from gallery.search.analyser import Analyser, joined, nearest, runs, typo_distance
from gallery.search.query import In, Leaf, Named, Person, Tag, Text

FIELDS = ("tag", "file", "camera", "place")
"""Where a plain word is looked for, names of people aside."""


class Names(Protocol):
    """The names of a library's people."""

    async def people_named(self, library_id: UUID, terms: Collection[str]) -> Mapping[str, frozenset[UUID]]:
        """People by folded word of their name, or by the whole of it."""
        ...

    async def name_words(self, library_id: UUID, *, shortest: int, longest: int) -> frozenset[str]:
        """Words of names, so many characters long."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A word and the fields in which it is looked for."""

    fields: tuple[str, ...]
    word: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the words of one query stand for in one library.

    Attributes:
        terms: ``field:term`` strings by what was wanted; empty when there are none.
        people: By folded word, or by the whole folded name.
        similar_people: By a word that nothing matched.
    """

    terms: Mapping[Wanted, frozenset[str]]
    people: Mapping[str, frozenset[UUID]]
    similar_people: Mapping[str, frozenset[UUID]]


def fields_of(leaf: Leaf) -> tuple[str, ...]:
    """The fields in which a condition's words are looked for."""
    match leaf:
        case Text():
            return FIELDS
        case Tag():
            return ("tag",)
        case In(field, _):
            return (str(field),)
        case _:
            return ()


def text_of(leaf: Leaf) -> str:
    """The words of a condition that has some."""
    return leaf.text if isinstance(leaf, Text | Tag | In) else ""


def whole_name(text: str) -> str:
    """The folded words of a name as one string."""
    return " ".join(runs(text))


def name_terms(name: str | None) -> list[str]:
    """By what a person is found: each word of the name, and the whole of it."""
    return sorted({*runs(name), whole_name(name)} - {""}) if name else []


class Lookup:
    """Builds vocabularies, with a handful of questions to the index and the names."""

    def __init__(self, *, index: SearchIndex, names: Names, analyser: Analyser) -> None:
        self._index = index
        self._names = names
        self._analyser = analyser

    async def vocabulary(self, library_id: UUID, leaves: Sequence[Leaf]) -> Vocabulary:
        """Find what the words stand for; only a word that nothing matches is taken for a typo."""
        stems = self._wanted(leaves)
        possible = {wanted: _spelled(wanted.fields, forms) for wanted, forms in stems.items()}
        known = await self._index.known(library_id, frozenset[str]().union(*possible.values()))
        terms = {wanted: spelled & known for wanted, spelled in possible.items()}
        people = await self._names.people_named(library_id, _name_candidates(leaves, stems))
        missing = [wanted for wanted, found in terms.items() if not found and not _is_name(wanted, people)]
        similar = {wanted: await self._similar(library_id, wanted) for wanted in missing if _may_be_typo(wanted)}
        guessed = await self._similar_people(library_id, [wanted.word for wanted in similar if wanted.fields == FIELDS])
        return Vocabulary(terms | similar, people, guessed)

    def _wanted(self, leaves: Sequence[Leaf]) -> dict[Wanted, frozenset[str]]:
        """What is looked for, with its spellings: the word and its stem; parts and whole file names as they are."""
        wanted: dict[Wanted, frozenset[str]] = {}
        for leaf in leaves:
            fields = fields_of(leaf)
            for word in self._analyser.words(text_of(leaf)) if fields else ():
                wanted[Wanted(fields, word.term)] = frozenset({word.term, word.stem})
                wanted |= {Wanted(fields, part): frozenset({part}) for part in word.parts}
            if isinstance(leaf, In) and leaf.field is Named.FILE and (name := joined(leaf.text)):
                wanted.setdefault(Wanted(fields, name), frozenset({name}))
        return wanted

    async def _similar(self, library_id: UUID, wanted: Wanted) -> frozenset[str]:
        reach = typo_distance(wanted.word)
        size = len(wanted.word)
        dictionary = await self._index.dictionary(library_id, shortest=size - reach, longest=size + reach)
        by_word: dict[str, set[str]] = {}
        for term in dictionary:
            field, _, word = term.partition(":")
            if field in wanted.fields:
                by_word.setdefault(word, set()).add(term)
        terms = frozenset(term for word in nearest(wanted.word, by_word) for term in by_word[word])
        return await self._index.known(library_id, terms) if terms else terms

    async def _similar_people(self, library_id: UUID, words: Sequence[str]) -> Mapping[str, frozenset[UUID]]:
        guessed: dict[str, frozenset[UUID]] = {}
        for word in words:
            reach = typo_distance(word)
            known = await self._names.name_words(library_id, shortest=len(word) - reach, longest=len(word) + reach)
            near = nearest(word, known)
            if near:
                people = await self._names.people_named(library_id, near)
                guessed[word] = frozenset[UUID]().union(*people.values())
        return guessed


def _spelled(fields: tuple[str, ...], forms: frozenset[str]) -> frozenset[str]:
    return frozenset(f"{field}:{form}" for field in fields for form in forms)


def _name_candidates(leaves: Sequence[Leaf], wanted: Mapping[Wanted, frozenset[str]]) -> frozenset[str]:
    texts = [
        leaf.name if isinstance(leaf, Person) else text_of(leaf) for leaf in leaves if isinstance(leaf, Person | Text)
    ]
    plain = {each.word for each in wanted if each.fields == FIELDS}
    return frozenset({whole_name(text) for text in texts} | plain) - {""}


def _is_name(wanted: Wanted, people: Mapping[str, frozenset[UUID]]) -> bool:
    return wanted.fields == FIELDS and wanted.word in people


def _may_be_typo(wanted: Wanted) -> bool:
    return wanted.fields != ("file",) and typo_distance(wanted.word) > 0
