"""The topics, as ``proto/topics`` catalogues them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from google.protobuf.message import Message

from gallery.events.v1.analysis_pb2 import FacesProposed, PhotoAnalysed
from gallery.events.v1.catalogue_pb2 import FaceJudged, PersonNamed, PhotoChanged
from gallery.events.v1.search_pb2 import PhotoIndexed
from gallery.events.v1.uploads_pb2 import PhotoUploaded


class Topic(StrEnum):
    """A stream of facts with one producer."""

    UPLOADS = "gallery.uploads"
    ANALYSIS = "gallery.analysis"
    CATALOGUE = "gallery.catalogue"
    PEOPLE = "gallery.people"
    SEARCH = "gallery.search"


TYPES: Mapping[Topic, tuple[type[Message], ...]] = MappingProxyType(
    {
        Topic.UPLOADS: (PhotoUploaded,),
        Topic.ANALYSIS: (PhotoAnalysed, FacesProposed),
        Topic.CATALOGUE: (PhotoChanged,),
        Topic.PEOPLE: (PersonNamed, FaceJudged),
        Topic.SEARCH: (PhotoIndexed,),
    }
)
"""What each topic carries."""

TOPIC_OF_TYPE: Mapping[str, Topic] = MappingProxyType(
    {body.DESCRIPTOR.full_name: topic for topic, bodies in TYPES.items() for body in bodies}
)
"""Where a type, by its full protobuf name, belongs."""
