"""The versions of an index in Elasticsearch, and the change from one to the next while it answers.

Readers ask the alias ``photos``, which stands for one version, such as ``photos-v3``. While the next one is filled it
has the alias ``photos-next``, and whoever writes, in whatever process, writes to both. Each version has an alias of its
own, too, and writes go through that: an index that is missing would be made by Elasticsearch itself, with a mapping of
its own invention; an alias never is.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gallery.adapters.elastic_client import (
    ElasticMovedError,
    ElasticRefusedError,
    translated,
)
from gallery.adapters.elastic_documents import MAPPING
from gallery.adapters.elastic_settings import ElasticSettings
from gallery.runtime.errors import UnfitEngineError
from gallery.runtime.logs import get_logger

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the index.

    Attributes:
        name: Of the index itself.
        identity: Differs from that of every other index, of one of the same name before it, too.
        fields: What its mapping knows.
        fingerprint: Of the mapping it was made with; empty where somebody else made it.
    """

    name: str
    identity: str
    fields: frozenset[str]
    fingerprint: str

    @property
    def writing(self) -> str:
        """The alias to write through."""
        return f"{self.name}-write"


class Versions:
    """All versions of one index; the state is Elasticsearch's alone."""

    def __init__(self, client: "AsyncElasticsearch", settings: ElasticSettings) -> None:
        self._client = client
        self._settings = settings
        self.reading = settings.elastic_index
        self._filling = f"{self.reading}-next"

    async def serving(self) -> list[Version]:
        """The version that answers, if there is one.

        Raises:
            UnfitEngineError: Another's index has our name.
        """
        return _ours(await self._behind(self.reading))

    async def ensure(self) -> None:
        """Make the first version if there is none; several processes may try at once.

        Raises:
            UnfitEngineError: Another's index has our name; it is left as it is.
        """
        found = await self.serving()
        if not found:
            await self._make(self.reading)
        elif found[0].fingerprint != _fingerprint():
            log.warning("the search index has another mapping than this release: make it anew", index=found[0].name)

    async def written(self) -> list[Version]:
        """The versions that a write goes to: the one that answers, and the one that is being filled.

        Raises:
            ElasticMovedError: There is none; it was dropped since the start.
        """
        found = await self._behind(self.reading, self._filling)
        if not found:
            raise ElasticMovedError(f"there is no search index {self.reading}; it is made at the next start")
        return found

    @asynccontextmanager
    async def next(self) -> AsyncIterator[None]:
        """Have another version filled while the block is open; leaving it exchanges them in one step.

        An error that leaves the block drops the new version. One that somebody left unfinished, or is still filling, is
        dropped at the start: of several the last to begin ends well.

        Raises:
            ElasticRefusedError: Another one began meanwhile.
        """
        unfinished = _ours(await self._behind(self._filling))
        version = await self._make(self._filling)
        try:
            for each in unfinished:
                await self._drop(each)
            yield
            await self._exchange(version)
        except BaseException:
            await self._drop(version)
            raise

    async def _exchange(self, version: Version) -> None:
        if version not in await self._behind(self._filling):
            raise ElasticRefusedError(f"{version.name} was dropped, as another version is being filled")
        old = await self._behind(self.reading)
        actions = [
            {"remove": {"index": version.name, "alias": self._filling}},
            {"add": {"index": version.name, "alias": self.reading}},
            *({"remove_index": {"index": each.name}} for each in old),
        ]
        with translated():
            await self._client.indices.update_aliases(actions=actions)

    async def _make(self, alias: str) -> Version:
        name = f"{self.reading}-v{await self._latest() + 1}"
        with translated():
            answer = await self._client.options(ignore_status=400).indices.create(
                index=name,
                aliases={alias: {}, f"{name}-write": {}},
                mappings={**MAPPING, "_meta": {"fingerprint": _fingerprint()}},
                settings={
                    "number_of_shards": self._settings.elastic_shards,
                    "number_of_replicas": self._settings.elastic_replicas,
                },
            )
        kind = answer.body.get("error", {}).get("type")
        if kind and (kind != "resource_already_exists_exception" or alias != self.reading):
            raise ElasticRefusedError(f"Elasticsearch does not make the index {name}: {kind}")
        return (await self._behind(name))[0]

    async def _latest(self) -> int:
        numbers = [each.name.rpartition("-v")[2] for each in await self._behind(f"{self.reading}-v*")]
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    async def _drop(self, version: Version) -> None:
        if version in await self._behind(version.name):
            with translated():
                await self._client.indices.delete(index=version.name, ignore_unavailable=True)

    async def _behind(self, *names: str) -> list[Version]:
        with translated():
            answer = await self._client.indices.get(index=list(names), ignore_unavailable=True)
        return [_version(name, body) for name, body in sorted(answer.body.items())]


def _version(name: str, body: dict[str, Any]) -> Version:
    mapping = body["mappings"]
    return Version(
        name=name,
        identity=body["settings"]["index"]["uuid"],
        fields=frozenset(mapping.get("properties", ())),
        fingerprint=mapping.get("_meta", {}).get("fingerprint", ""),
    )


def _ours(versions: list[Version]) -> list[Version]:
    for each in versions:
        if not each.fingerprint:
            raise UnfitEngineError(
                f"the index {each.name} in Elasticsearch is another's; choose another name by GALLERY_ELASTIC_INDEX"
            )
    return versions


def _fingerprint() -> str:
    return hashlib.sha256(json.dumps(MAPPING, sort_keys=True).encode()).hexdigest()
