"""Many observations at once: prometheus_client has no public call for it.

This is the only module that knows how prometheus_client stores histograms and summaries
(``_upper_bounds``, ``_buckets``, ``_sum``, ``_count``); its test compares with ``observe`` one by
one, with one process and in multiprocess mode, so an upgrade that changes them fails there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram, Summary

Bounds = NDArray[np.float64]


def upper_bounds(histogram: Histogram) -> Bounds:
    """Inclusive upper bounds of the buckets, ascending; the last one is infinity."""
    return np.asarray(histogram._upper_bounds, dtype=np.float64)


def bucket_counts(bounds: Bounds, values: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of n finite ``values`` fall into each bucket, int64 (len(bounds),)."""
    places = np.searchsorted(bounds, values, side="left")
    return np.bincount(places, minlength=len(bounds)).astype(np.int64)


def add_to_histogram(child: Histogram, counts: Sequence[int], total: float) -> None:
    """As if ``observe`` had been called for each value.

    Args:
        child: histogram without labels, or its child.
        counts: number of values per bucket, not accumulated; one per upper bound.
        total: sum of the values.
    """
    if len(counts) != len(child._buckets):
        raise ValueError(f"{len(counts)} counts for {len(child._buckets)} buckets of {child}")
    child._sum.inc(total)
    for bucket, count in zip(child._buckets, counts, strict=True):
        if count:
            bucket.inc(count)


def observe_many(children: Sequence[Histogram], values: NDArray[np.float64]) -> None:
    """Let every histogram of ``children``, all with equal buckets, observe n finite ``values``."""
    if len(values) and children:
        counts = bucket_counts(upper_bounds(children[0]), values).tolist()
        total = float(values.sum())
        for child in children:
            add_to_histogram(child, counts, total)


def add_to_summary(child: Summary, count: int, total: float) -> None:
    """As if ``observe`` had been called ``count`` times with values that sum to ``total``."""
    child._count.inc(count)
    child._sum.inc(total)
