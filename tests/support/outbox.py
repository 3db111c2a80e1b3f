"""A service that says facts, and what those who hear them can check."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from support.messages import LIBRARY

from gallery.events.topics import Topic
from gallery.events.v1.catalogue_pb2 import PhotoChanged
from gallery.ports.bus import Bus, Message
from gallery.runtime import partitions
from gallery.runtime.database import Database
from gallery.runtime.migrations import migrate
from gallery.runtime.outbox import Fact, append

PATIENCE = timedelta(seconds=60)


@asynccontextmanager
async def speaking(url: str) -> AsyncIterator[Database]:
    """Open the database of a service that may say something."""
    await migrate(url, schema="metadata", packages=[])
    async with Database.open(url, schema="metadata") as database:
        await partitions.renew(database)
        yield database


async def say(database: Database, keys: Iterable[str], revisions: Iterable[int]) -> None:
    """Say of each key each revision, one transaction a fact."""
    for revision in revisions:
        for key in keys:
            async with database.transaction(keys=[key]) as tx:
                body = PhotoChanged(photo_id=key)
                await append(tx, Fact(topic=Topic.CATALOGUE, key=key, library_id=LIBRARY, revision=revision, body=body))


async def heard(bus: Bus, wanted: int, *, name: str = "listener") -> list[Message]:
    """Return what a new listener hears, in its order, as soon as it has heard so many different facts."""
    messages: list[Message] = []
    async with asyncio.timeout(PATIENCE.total_seconds()), bus.subscribe(name, [Topic.CATALOGUE]) as subscription:
        while len({message.id for message in messages}) < wanted:
            messages.extend(await subscription.poll(limit=500, timeout=timedelta(seconds=1)))
    return messages


def revisions_by_key(messages: Sequence[Message]) -> dict[str, list[int]]:
    """Return each key's revisions in the order in which they came first."""
    by_key: dict[str, list[int]] = defaultdict(list)
    known = set()
    for message in messages:
        if message.id not in known:
            known.add(message.id)
            by_key[message.key].append(message.revision)
    return by_key
