"""The one place where metrics are made, so that what exists can be listed (docs/metrics.md).

With several workers prometheus_client keeps every value in a file per process below
``PROMETHEUS_MULTIPROC_DIR``, and a scrape adds them up. That decides what may be used:

- metrics are made by a worker, never at import;
- a gauge says how the workers' values become one (``together``);
- ``Info`` does not exist, so facts are gauges of 1 with the facts as labels;
- a series cannot be removed, so facts that no longer hold are gauges of 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

Together = Literal["liveall", "livemax", "livemin", "livesum", "mostrecent"]
_NEVER = 1e-9  # Unix time: older than anything that a worker ever sets


@dataclass(frozen=True)
class FamilyFact:
    """One family as a reader of the documentation sees it.

    Attributes:
        name: as exposed; a counter's ends in ``_total``.
        kind: counter, gauge, histogram or summary.
        labels: names of its labels, in order.
        meaning: one sentence.
        together: how a gauge's values in several workers become one; "sum" for all others.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    together: str = "sum"


class Families:
    """Makes metrics in one registry and remembers what it made.

    Args:
        registry: in multiprocess mode it only guards against equal names, for scrapes read the
            files; so by default it is a new one, and a second service in the same process works.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.facts: list[FamilyFact] = []

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        """A counter; ``name`` ends in ``_total``."""
        self.facts.append(FamilyFact(name, "counter", labels, meaning))
        return Counter(name, meaning, labels, registry=self.registry)

    def gauge(self, name: str, meaning: str, *labels: str, together: Together) -> Gauge:
        """A gauge; ``together`` is prometheus_client's multiprocess mode."""
        self.facts.append(FamilyFact(name, "gauge", labels, meaning, together))
        return Gauge(name, meaning, labels, registry=self.registry, multiprocess_mode=together)

    def histogram(
        self, name: str, meaning: str, bounds: Sequence[float], *labels: str
    ) -> Histogram:
        """A histogram with the inclusive upper ``bounds`` and infinity."""
        self.facts.append(FamilyFact(name, "histogram", labels, meaning))
        return Histogram(name, meaning, labels, registry=self.registry, buckets=bounds)

    def summary(self, name: str, meaning: str, *labels: str) -> Summary:
        """A count and a sum."""
        self.facts.append(FamilyFact(name, "summary", labels, meaning))
        return Summary(name, meaning, labels, registry=self.registry)


def show_all(family: Counter, label_values: Iterable[Sequence[str]]) -> None:
    """Show children at 0 before their first event: ``increase()`` misses a first one otherwise."""
    for values in label_values:
        family.labels(*values)


def show_unset(child: Gauge, value: float = 0.0) -> None:
    """Show a ``mostrecent`` gauge at ``value`` until any worker sets it.

    A plain ``set(0)`` would be the most recent value, and a worker that starts later would hide
    what the others know.
    """
    child._value.set(value, timestamp=_NEVER)
