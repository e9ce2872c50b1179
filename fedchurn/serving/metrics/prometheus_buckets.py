"""Upper bounds of histogram buckets; infinity is added by prometheus_client."""

from __future__ import annotations

import math

from fedchurn.contract.schema import Column, Range

_QUICK = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025)
_USUAL = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

LATENCY_SECONDS = (*_QUICK, *_USUAL)
"""prometheus_client's usual bounds, and finer ones below for answers of some ten microseconds."""

HIGHR_SECONDS = tuple(
    sorted({*LATENCY_SECONDS, 0.0075, 0.015, 0.02, 1.5, 2.0, 3.0, 3.5, 4.0, 4.5, 30.0, 60.0})
)
"""Finer again, for the one family without labels."""

PROBABILITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

_DECADES = (0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)  # when the contract gives no range
_MAX_VALUES = 16  # an integer with at most so many usual values gets a bucket for each
_STEPS = 16  # at most so many buckets otherwise


def number_bounds(column: Column) -> tuple[float, ...]:
    """Bounds over a number's usual range (else its hard limits), at round values.

    >>> number_bounds(Column(kind="integer", usual=(18, 80)))
    (20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0)
    >>> number_bounds(Column(kind="integer", usual=(1, 6)))
    (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    """
    span = column.usual or column.hard
    if span is None:
        return _DECADES
    if column.kind == "integer" and span[1] - span[0] < _MAX_VALUES:
        return tuple(float(v) for v in range(math.ceil(span[0]), math.floor(span[1]) + 1)) or span
    return _round_bounds(span)


def _round_bounds(span: Range) -> tuple[float, ...]:
    low, high = span
    if high <= low:
        return (float(low),)
    step = _round_step((high - low) / _STEPS)
    first, last = math.floor(low / step) + 1, math.ceil(high / step)
    return tuple(round(k * step, 12) for k in range(first, last + 1))


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is no smaller than ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(f * power for f in (1.0, 2.0, 5.0, 10.0) if f * power >= least * (1 - 1e-9))
