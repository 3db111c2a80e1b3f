"""Facts that cannot be handled: garbage, and those of photos that meet a mistake in the program, until it is mended.

Which photos it strikes is told by their bytes, so that the seed decides. The mistake is a trigger in the database: the
handlers meet an error that nobody has named, as they would meet a fault in their own code.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID, uuid5

import psycopg
from aiokafka.errors import KafkaError
from support.facts_again import publish

from gallery.events.topics import Topic
from gallery.events.v1.uploads_pb2 import PhotoUploaded
from gallery.ports.bus import Message

ONE_IN = 100
PATIENCE_SECONDS = 10
PAUSE_SECONDS = 0.5
SERVICES = ("metadata", "ml_worker")
"""Schemas of those who hear of uploads."""
GARBAGE = b"\xff\xff is no protobuf"
MISTAKE = "a mistake in the program"
_NAMES = UUID("0190c0de-0000-7000-8000-000000000000")

_PLANT = f"""
    CREATE SCHEMA poison;
    CREATE TABLE poison.pictures (sha256 bytea PRIMARY KEY, service text NOT NULL);
    CREATE FUNCTION poison.strike() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM poison.pictures JOIN upload.originals USING (sha256)
            WHERE photo_id = NEW.id AND service = TG_TABLE_SCHEMA
        ) THEN
            RAISE EXCEPTION '{MISTAKE}';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER poison BEFORE INSERT ON metadata.photos FOR EACH ROW EXECUTE FUNCTION poison.strike();
    CREATE TRIGGER poison BEFORE INSERT ON ml_worker.photos FOR EACH ROW EXECUTE FUNCTION poison.strike();
"""
_MEND = "DROP SCHEMA poison CASCADE"


def struck(number: int) -> str | None:
    """The service that cannot bear the picture of this number, if there is one; they take turns."""
    turn, rest = divmod(number, ONE_IN)
    return SERVICES[turn % len(SERVICES)] if rest == ONE_IN // 4 else None


def garbled(number: int) -> bool:
    """Whether garbage comes with the picture of this number."""
    return number % ONE_IN == ONE_IN // 2


def plant(url: str, files: Iterable[tuple[int, Callable[[int], bytes]]]) -> None:
    """Make the mistake that strikes some of these files, each told by its number and how to make it."""
    rows = [(hashlib.sha256(make(number)).digest(), struck(number)) for number, make in files if struck(number)]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(_PLANT.encode())
        cursor.executemany("INSERT INTO poison.pictures VALUES (%s, %s)", rows)


def mend(url: str) -> None:
    """Put the program right."""
    with psycopg.connect(url) as connection:
        connection.execute(_MEND)


def garbage(seed: int, number: int) -> Message:
    """Make a fact that says it is something else than it is, as a broken producer would."""
    name = uuid5(_NAMES, f"{seed} {number}")
    return Message(
        id=name,
        topic=Topic.UPLOADS,
        type=PhotoUploaded.DESCRIPTOR.full_name,
        key=str(name),
        library_id=name,
        revision=1,
        at=datetime.now(UTC),
        data=GARBAGE,
    )


def throw_in(servers: str, message: Message) -> None:
    """Publish a fact, again and again until Kafka has it; being there twice is part of the game."""
    while True:
        with suppress(TimeoutError, KafkaError):
            asyncio.run(_in_time(servers, message))
            return
        time.sleep(PAUSE_SECONDS)


async def _in_time(servers: str, message: Message) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await publish(servers, [message])
