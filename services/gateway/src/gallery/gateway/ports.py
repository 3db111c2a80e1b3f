"""What the use cases of the gateway need from its database; the other services are asked by HTTP (``neighbours``)."""

from typing import Protocol

from gallery.gateway.domain import Owner


class Owners(Protocol):
    """Where the local owner is kept."""

    async def find(self) -> Owner | None:
        """The owner; None before the first start."""
        ...

    async def add(self, owner: Owner) -> None:
        """Keep a new owner and make the library; the first of several gateways that start together wins."""
        ...

    async def change_token(self, token_sha256: bytes) -> None:
        """From now on only the token of this digest opens the gate."""
        ...
