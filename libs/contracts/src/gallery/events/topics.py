"""The topics, as ``proto/topics`` catalogues them."""

from enum import StrEnum


class Topic(StrEnum):
    """A stream of facts with one producer."""

    UPLOADS = "gallery.uploads"
    ANALYSIS = "gallery.analysis"
    CATALOGUE = "gallery.catalogue"
    PEOPLE = "gallery.people"
    SEARCH = "gallery.search"
