"""What the capacity model is told: costs.toml as values."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COSTS = Path(__file__).with_name("costs.toml")


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU milliseconds of one photo, by who spends them."""

    serving: float
    postgres: float
    models: float
    decoding: float
    people: float


@dataclass(frozen=True, slots=True)
class Grouping:
    """What one canonical grouping was seen to cost."""

    faces: float
    cpu_seconds: float
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Photo:
    """A typical photo."""

    faces: float
    original_bytes: float
    rendition_bytes: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Bytes a photo that stay in the database of each service."""

    upload: float
    metadata: float
    ml_worker: float
    search: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What a photo leaves in outboxes, inboxes and on the bus."""

    row_bytes: float
    records: float
    record_bytes: float


@dataclass(frozen=True, slots=True)
class Vector:
    """Bytes of one vector in its index."""

    disk_bytes: float
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Assumed:
    """What nobody measured; each is explained in costs.toml."""

    utilisation: float
    worker_cores: float
    worker_busy: float
    retention_days: float
    partitions: int
    hot: float
    machine_cores: float
    machine_bytes: float
    core_bytes: float
    floor_bytes: float
    machines: int
    database_bytes: float
    database_cores: float
    database_copies: int
    bus_copies: int
    index_copies: int


@dataclass(frozen=True, slots=True)
class Prices:
    """A month of each."""

    machine: float
    small_machine: float
    block_gb: float
    object_gb: float


@dataclass(frozen=True, slots=True)
class Costs:
    """All that the model is told."""

    cpu_ms: Cpu
    grouping: Grouping
    photo: Photo
    rows: Rows
    index_bytes: float
    facts: Facts
    vector: Vector
    assumed: Assumed
    prices: Prices


def read(path: Path = COSTS) -> Costs:
    """Read costs.toml."""
    given: dict[str, dict[str, Any]] = tomllib.loads(path.read_text())
    return Costs(
        cpu_ms=Cpu(**given["cpu_ms"]),
        grouping=Grouping(**given["grouping"]),
        photo=Photo(**given["photo"]),
        rows=Rows(**given["rows"]),
        index_bytes=given["search"]["index"],
        facts=Facts(**given["facts"]),
        vector=Vector(**given["vector"]),
        assumed=Assumed(**given["assumed"]),
        prices=Prices(**given["prices"]),
    )
