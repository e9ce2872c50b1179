"""Upper bounds of histogram buckets, in seconds; infinity is added by prometheus_client."""

from __future__ import annotations

_QUICK = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025)
_USUAL = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

LATENCY_SECONDS = (*_QUICK, *_USUAL)
"""prometheus_client's usual bounds, and finer ones below for answers of some ten microseconds."""

HIGHR_SECONDS = tuple(
    sorted({*LATENCY_SECONDS, 0.0075, 0.015, 0.02, 1.5, 2.0, 3.0, 3.5, 4.0, 4.5, 30.0, 60.0})
)
"""Finer again, for the one family without labels."""
