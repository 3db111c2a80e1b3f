"""What a process has measured, as Prometheus reads it."""

from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from gallery.runtime import metrics


@dataclass(frozen=True)
class Page:
    """One reading."""

    values: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def parse(cls, text: str) -> Self:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return cls({(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples})

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.values}

    def value(self, name: str, **labels: str) -> float | None:
        return self.values.get((name, frozenset(labels.items())))


async def page() -> Page:
    """What this process says now."""
    return Page.parse((await metrics.page()).decode())


class Growth:
    """What has been counted since the block was entered; the registry is the process's, so tests share it."""

    async def __aenter__(self) -> Self:
        self._before = await page()
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def of(self, name: str, **labels: str) -> float:
        return ((await page()).value(name, **labels) or 0) - (self._before.value(name, **labels) or 0)
