"""From what one photo costs to machines, partitions, storage and money: a plain model, pure functions.

`demand` is exact and linear in libraries; `hosted` and `embedded` round it up to what can be had. Costs, assumptions
and prices are in costs.toml; docs/capacity.md is made of this by capacity_doc.py.
"""

import math
from dataclasses import dataclass, replace

from costs import Assumed, Costs, Rows
from day import DAY, PEAK_TO_MEAN
from simulation import Scaling


@dataclass(frozen=True, slots=True)
class Load:
    """Who is there, and what they do.

    Attributes:
        libraries: How many.
        arriving: Photos that each of them gets in a day.
        groupings: How often a day the faces of each of them are grouped anew.
        photos: That each of them holds.
    """

    libraries: int
    arriving: float
    groupings: float
    photos: int = 100_000


@dataclass(frozen=True, slots=True)
class Demand:
    """What a load needs, before anything is rounded: busy cores in the busiest hour, and bytes of one copy."""

    photos: float
    photos_a_second: float
    serving: float
    postgres: float
    analyse: float
    people: float
    grouping_seconds: float
    grouping_memory: float
    originals: float
    renditions: float
    rows: Rows
    facts: float
    index: float
    vectors: float
    vector_memory: float
    bus_bytes_a_second: float
    bus_kept: float

    @property
    def cores(self) -> float:
        """Of everybody."""
        return self.serving + self.postgres + self.analyse + self.people

    @property
    def database(self) -> float:
        """Bytes of all services' databases, without the search index."""
        return self.rows.upload + self.rows.metadata + self.rows.ml_worker + self.rows.search + self.facts


def demand(costs: Costs, load: Load) -> Demand:
    """What a load needs."""
    photos = float(load.libraries * load.photos)
    faces_of_one = load.photos * costs.photo.faces
    a_second = load.libraries * load.arriving / DAY * PEAK_TO_MEAN
    groupings_a_second = load.libraries * load.groupings / DAY * PEAK_TO_MEAN
    kept = load.libraries * load.arriving * costs.assumed.retention_days
    cpu, rows = costs.cpu_ms, costs.rows
    grouping = grouping_seconds(costs, faces=faces_of_one)
    return Demand(
        photos=photos,
        photos_a_second=a_second,
        serving=a_second * cpu.serving / 1000,
        postgres=a_second * cpu.postgres / 1000,
        analyse=a_second * (cpu.models + cpu.decoding) / 1000,
        people=a_second * cpu.people / 1000 + groupings_a_second * grouping,
        grouping_seconds=grouping,
        grouping_memory=grouping_memory(costs, faces=faces_of_one),
        originals=photos * costs.photo.original_bytes,
        renditions=photos * costs.photo.rendition_bytes,
        rows=Rows(photos * rows.upload, photos * rows.metadata, photos * rows.ml_worker, photos * rows.search),
        facts=kept * costs.facts.row_bytes,
        index=photos * costs.index_bytes,
        vectors=load.libraries * faces_of_one * costs.vector.disk_bytes,
        vector_memory=load.libraries * faces_of_one * costs.vector.memory_bytes,
        bus_bytes_a_second=a_second * costs.facts.record_bytes,
        bus_kept=kept * costs.facts.record_bytes,
    )


def grouping_seconds(costs: Costs, *, faces: float) -> float:
    """CPU seconds of one canonical grouping: every face with every other."""
    return costs.grouping.cpu_seconds * (faces / costs.grouping.faces) ** 2


def grouping_memory(costs: Costs, *, faces: float) -> float:
    """Bytes of one canonical grouping: some vectors of each face."""
    return costs.grouping.memory_bytes * faces / costs.grouping.faces


def worker_rate(costs: Costs) -> float:
    """Photos a second of one analyse worker that has its cores for itself."""
    assumed, cpu = costs.assumed, costs.cpu_ms
    return assumed.worker_cores * assumed.worker_busy / (cpu.models + cpu.decoding) * 1000


def embedded_rate(costs: Costs) -> float:
    """Photos a second, upload to searchable, where a worker's cores do everything."""
    assumed, cpu = costs.assumed, costs.cpu_ms
    everything = cpu.serving + cpu.postgres + cpu.models + cpu.decoding + cpu.people
    return assumed.worker_cores * assumed.worker_busy / everything * 1000


@dataclass(frozen=True, slots=True)
class Bill:
    """US dollars a month; without traffic, requests, backups and people."""

    compute: float
    database: float
    blobs: float
    bus: float
    indexes: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.compute + self.database + self.blobs + self.bus + self.indexes


@dataclass(frozen=True, slots=True)
class Plan:
    """What to have.

    Attributes:
        installations: Independent ones, each with some of the libraries: as many as the largest database asks for.
        workers: Analyse workers in the busiest hour.
        partitions: Of each topic, in each installation.
        memory: Bytes, of all machines.
        machines: In the busiest hour.
        machines_paid: On average: workers come and go.
        bill: What it costs.
    """

    installations: int
    workers: int
    partitions: int
    memory: float
    machines: int
    machines_paid: int
    bill: Bill


def hosted(costs: Costs, load: Load) -> Plan:
    """The distributed profile."""
    needed, assumed, prices = demand(costs, load), costs.assumed, costs.prices
    installations = _installations(needed, assumed)
    memory = (
        installations * assumed.floor_bytes
        + needed.cores * assumed.core_bytes
        + assumed.hot * assumed.index_copies * (needed.index + needed.vector_memory)
        + math.ceil(needed.people) * needed.grouping_memory
    )
    machines, paid = (
        max(
            installations * assumed.machines,
            math.ceil(cores / assumed.utilisation / assumed.machine_cores),
            math.ceil(memory / assumed.machine_bytes),
        )
        for cores in (needed.cores, needed.cores - needed.analyse * (1 - 1 / PEAK_TO_MEAN))
    )
    return Plan(
        installations=installations,
        workers=max(
            installations * Scaling().least, math.ceil(needed.analyse / (assumed.worker_cores * assumed.utilisation))
        ),
        # No consumer can need more processes than all of serving needs cores, nor more partitions than processes.
        partitions=max(assumed.partitions, math.ceil(needed.serving / assumed.utilisation / installations)),
        memory=memory,
        machines=machines,
        machines_paid=paid,
        bill=Bill(
            compute=paid * prices.machine,
            database=_gb(needed.database) * assumed.database_copies * prices.block_gb,
            blobs=_gb(needed.originals + needed.renditions) * prices.object_gb,
            bus=_gb(needed.bus_kept) * assumed.bus_copies * prices.block_gb,
            indexes=_gb(needed.index + needed.vectors) * assumed.index_copies * prices.block_gb,
        ),
    )


def embedded(costs: Costs, load: Load) -> Plan:
    """The embedded profile: each library on a small machine of its own, with one disk."""
    one, prices = demand(costs, replace(load, libraries=1)), costs.prices
    count = load.libraries
    return Plan(
        installations=count,
        workers=count,
        partitions=0,
        memory=count * (one.index + one.vector_memory + one.grouping_memory),
        machines=count,
        machines_paid=count,
        bill=Bill(
            compute=count * prices.small_machine,
            database=count * _gb(one.database) * prices.block_gb,
            blobs=count * _gb(one.originals + one.renditions) * prices.block_gb,
            bus=0.0,
            indexes=count * _gb(one.index + one.vectors) * prices.block_gb,
        ),
    )


def _installations(needed: Demand, assumed: Assumed) -> int:
    """As many as the largest database of one service needs servers; all facts are counted with it."""
    rows = needed.rows
    largest = max(rows.upload, rows.metadata, rows.ml_worker, rows.search) + needed.facts
    by_cores = needed.postgres / assumed.utilisation / assumed.database_cores
    return max(1, math.ceil(largest / assumed.database_bytes), math.ceil(by_cores))


def _gb(size: float) -> float:
    return size / 1e9
