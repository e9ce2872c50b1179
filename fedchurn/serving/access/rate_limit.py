"""Rate limit by token buckets: one per caller, in this process."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_CALLERS = 10_000


class RateLimiter:
    """Lets each caller make ``burst`` requests at once, then ``rate_per_second`` of them.

    A caller's bucket starts full. Only the ``max_callers`` last seen are remembered: whoever was
    forgotten starts again with a full bucket, so memory is bounded and nobody is locked out.
    Not safe from several threads; the event loop calls it.
    """

    def __init__(
        self,
        rate_per_second: float,
        burst: float,
        *,
        max_callers: int = MAX_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate_per_second = rate_per_second
        self._burst = burst
        self._max_callers = max_callers
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, seen at

    def __len__(self) -> int:
        return len(self._buckets)

    def __bool__(self) -> bool:
        return True

    def wait_seconds(self, caller: str) -> float:
        """0.0, and a token is taken; or how long the caller must wait until there is one."""
        now = self._clock()
        tokens, seen = self._buckets.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - seen) * self._rate_per_second)
        allowed = tokens >= 1.0
        self._buckets[caller] = (tokens - 1.0 if allowed else tokens, now)
        if len(self._buckets) > self._max_callers:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - tokens) / self._rate_per_second


def make_limiter(rate_per_second: float, burst: int, num_workers: int = 1) -> RateLimiter | None:
    """This worker's part of the limits of the whole service; None for a rate of 0 (no limit).

    Workers do not talk to each other, so each grants its part: together never more than the limit,
    while a caller who stays on one connection, thus at one worker, gets only that worker's part.
    """
    if not rate_per_second:
        return None
    return RateLimiter(rate_per_second / num_workers, max(1.0, burst / num_workers))


def address_caller(address: str) -> str:
    """Who an address stands for: itself, or its /64 network, which one IPv6 host has to itself.

    >>> address_caller("192.0.2.7"), address_caller("2001:db8::7")
    ('192.0.2.7', '2001:db8::')
    """
    if ":" not in address:
        return address
    try:
        full = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if full.ipv4_mapped is not None:
        return str(full.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(full) >> 64 << 64))
