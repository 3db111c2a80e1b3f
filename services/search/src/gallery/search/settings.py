"""Settings of the search service."""

from pydantic import Field, field_validator
from snowballstemmer import algorithms

from gallery.runtime.settings import Settings


class SearchSettings(Settings):
    """How words are understood."""

    search_language: str = Field(
        default="english",
        title="Language of search",
        description="The language whose word endings search forgives (snowball's name, such as english or german). "
        "Rebuild the index after changing it.",
    )

    @field_validator("search_language")
    @classmethod
    def _is_known(cls, language: str) -> str:
        if language not in algorithms():
            raise ValueError(f"one of {', '.join(algorithms())}")
        return language
