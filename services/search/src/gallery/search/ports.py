"""What search needs from others."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from gallery.search.facts import AnalysisFacts, PhotoFacts


class Owners(Protocol):
    """The services that own what we show.

    Every method raises OwnerUnavailableError when the owner does not answer, or not as agreed.
    """

    async def photos(self, library_id: UUID, photo_ids: Sequence[UUID]) -> Mapping[UUID, PhotoFacts]:
        """The catalogue's current state of these photos; those that are gone are left out."""
        ...

    async def analyses(self, library_id: UUID, photo_ids: Sequence[UUID]) -> Mapping[UUID, AnalysisFacts]:
        """What the machine found in these photos; those not analysed yet are left out."""
        ...

    async def name(self, library_id: UUID, person_id: UUID) -> str | None:
        """The person's current name; None when there is none, or no such person."""
        ...
