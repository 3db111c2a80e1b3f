"""How large imports go: the pace and price of those who look at photos, the quota of those who keep them."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from gallery.gateway.neighbours import Neighbours

Document = dict[str, Any]


class Backfills:
    """Puts together what two services know."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    async def show(self, library: UUID) -> Document:
        """Say how far a library is, what that has cost, and how much of its quota is used."""
        return await self.change(library, {})

    async def change(self, library: UUID, wish: Mapping[str, Any]) -> Document:
        """Change what is named of ``paused``, ``weight`` and ``quota``, and say how things stand then."""
        share = {name: wish[name] for name in ("paused", "weight") if wish.get(name) is not None}
        asked = (
            (self._neighbours.ml_worker, "/backfill", share),
            (self._neighbours.upload, "/quota", wish.get("quota")),
        )
        answers = await asyncio.gather(
            *(
                neighbour.ask("PATCH", path, library=library, json=change)
                if change
                else neighbour.ask("GET", path, library=library)
                for neighbour, path, change in asked
            )
        )
        return {name: value for answer in answers for name, value in answer.items()}
