"""What another gallery said of a photo before it came here, such as the sidecars of a Google Takeout.

It is kept beside the original as it was said; whoever describes the photo decides what to believe of it.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

LONGEST = 8192
"""Bytes of all of it; the gateway takes no longer field."""


def _printable(value: Any) -> Any:
    """No database keeps a NUL in a text."""
    return value.replace("\0", "") if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_printable), Field(max_length=2000)]
Texts = Annotated[list[Text], Field(max_length=200)]


class Position(BaseModel):
    """Degrees, metres above the sea, and which of the sidecar's positions it was."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    altitude: float | None = None
    source: Literal["geoData", "geoDataExif"] = "geoData"


class Said(BaseModel):
    """The members that a client may say.

    Attributes:
        source: Which kind of export it comes from.
        title: Name of the file before it was shortened.
        taken_at: An instant.
        people: Names of those in the photo.
        albums: Names of albums that it was in.
    """

    model_config = ConfigDict(extra="forbid")

    source: Literal["takeout"]
    title: Text | None = None
    description: Text | None = None
    taken_at: AwareDatetime | None = None
    gps: Position | None = None
    people: Texts = []
    albums: Texts = []
    favourite: bool = False
    archived: bool = False


def read_said(text: str) -> dict[str, Any]:
    """Check what was said and give it as JSON values, without what was left out.

    Raises:
        ValueError: It is too long, no JSON, or says what nobody can say.
    """
    if len(text.encode()) > LONGEST:
        raise ValueError(f"what was said of a photo has at most {LONGEST} bytes")
    return Said.model_validate_json(text).model_dump(mode="json", exclude_defaults=True)
