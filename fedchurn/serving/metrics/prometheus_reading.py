"""Counts read back from the metrics, over all workers; for ``GET /fallback-stats``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample

from fedchurn.serving.metrics.prometheus_workers import metrics_folder


@dataclass(frozen=True)
class FallbackCounts:
    """Who answered since the service started.

    Attributes:
        total_predictions: answered rows.
        fallback_count: those that a fallback answered.
        fallback_rate: their share (0-1); 0 before the first answer.
        fallback_reasons: fallbacks by why they answered; every reason is there.
        by_model_used: answered rows by who answered; everybody is there.
    """

    total_predictions: int
    fallback_count: int
    fallback_rate: float
    fallback_reasons: dict[str, int]
    by_model_used: dict[str, int]


def read_fallback_counts(registry: CollectorRegistry) -> FallbackCounts:
    """Counts over all workers; ``registry`` is read where there are no others."""
    samples = list(_samples(registry))
    by_model = _sums(samples, "fedchurn_predictions_total", "model_used")
    reasons = _sums(samples, "fedchurn_fallbacks_total", "reason")
    total, fallbacks = sum(by_model.values()), sum(reasons.values())
    rate = fallbacks / total if total else 0.0
    return FallbackCounts(total, fallbacks, rate, reasons, by_model)


def _samples(registry: CollectorRegistry) -> Iterable[Sample]:
    folder = metrics_folder()
    if folder is None:
        return [sample for family in registry.collect() for sample in family.samples]
    files = [str(path) for path in folder.glob("counter_*.db")]
    families = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
    return [sample for family in families for sample in family.samples]


def _sums(samples: Iterable[Sample], name: str, label: str) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for sample in samples:
        if sample.name == name:
            sums[sample.labels[label]] += int(sample.value)
    return dict(sorted(sums.items()))
