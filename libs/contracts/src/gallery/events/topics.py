"""The topics. Generated from ``proto/topics`` by proto/generate.py: change those files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from google.protobuf.message import Message

from gallery.events.v1.analysis_pb2 import FacesProposed, PhotoAnalysed
from gallery.events.v1.catalogue_pb2 import FaceJudged, PersonNamed, PhotoChanged
from gallery.events.v1.search_pb2 import PhotoIndexed
from gallery.events.v1.uploads_pb2 import PhotoUploaded


class Topic(StrEnum):
    """A stream of facts with one producer."""

    ANALYSIS = "gallery.analysis"
    CATALOGUE = "gallery.catalogue"
    PEOPLE = "gallery.people"
    SEARCH = "gallery.search"
    UPLOADS = "gallery.uploads"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of a topic.

    Attributes:
        types: What it carries.
        producer: The service that speaks on it.
        consumers: The services that listen to it.
        partitions: How many members of a subscription can share it. Fixed for ever: with another number, keys change
            their partition, and order holds no longer.
        retention: How long a fact is kept.
    """

    types: tuple[type[Message], ...]
    producer: str
    consumers: tuple[str, ...]
    partitions: int
    retention: timedelta


CATALOGUE: Mapping[Topic, Entry] = MappingProxyType(
    {
        Topic.ANALYSIS: Entry(
            types=(
                PhotoAnalysed,
                FacesProposed,
            ),
            producer="ml-worker",
            consumers=("metadata",),
            partitions=12,
            retention=timedelta(days=7),
        ),
        Topic.CATALOGUE: Entry(
            types=(PhotoChanged,),
            producer="metadata",
            consumers=("search",),
            partitions=12,
            retention=timedelta(days=7),
        ),
        Topic.PEOPLE: Entry(
            types=(
                PersonNamed,
                FaceJudged,
            ),
            producer="metadata",
            consumers=("ml-worker", "search"),
            partitions=12,
            retention=timedelta(days=7),
        ),
        Topic.SEARCH: Entry(
            types=(PhotoIndexed,),
            producer="search",
            consumers=("metadata",),
            partitions=12,
            retention=timedelta(days=7),
        ),
        Topic.UPLOADS: Entry(
            types=(PhotoUploaded,),
            producer="upload",
            consumers=("metadata", "ml-worker"),
            partitions=12,
            retention=timedelta(days=7),
        ),
    }
)

TYPES: Mapping[Topic, tuple[type[Message], ...]] = MappingProxyType(
    {topic: entry.types for topic, entry in CATALOGUE.items()}
)
"""What each topic carries."""

TOPIC_OF_TYPE: Mapping[str, Topic] = MappingProxyType(
    {body.DESCRIPTOR.full_name: topic for topic, bodies in TYPES.items() for body in bodies}
)
"""Where a type, by its full protobuf name, belongs."""
