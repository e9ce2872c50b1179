"""Times as the service writes them: ISO 8601 in UTC, to the millisecond."""

from __future__ import annotations

from functools import lru_cache
from time import gmtime, strftime


def time_text(time_seconds: float) -> str:
    """Unix time as text.

    >>> time_text(0.25)
    '1970-01-01T00:00:00.250Z'
    """
    return _millisecond_text(int(time_seconds * 1000.0))


@lru_cache(maxsize=4)  # a busy service gives many answers a millisecond
def _millisecond_text(millisecond: int) -> str:
    second = strftime("%Y-%m-%dT%H:%M:%S", gmtime(millisecond // 1000))
    return f"{second}.{millisecond % 1000:03d}Z"
