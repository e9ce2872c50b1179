"""How many customers of a window were in an earlier one, told from a few hashes of each.

Windows share no predictions, but a fixed list of customers that is scored every hour fills each of
them: an odd sample would stay odd, and persistence would mean nothing. So a window counts for
persistence only where most customers are others.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence

NUM_HASHES = 256
MAX_SHARED_FRACTION = 0.2


def customer_hashes(customers: Iterable[str | None]) -> tuple[int, ...]:
    """The smallest hashes of different customers, ascending (bottom-k sketch; Cohen 1997).

    Args:
        customers: ids; None is somebody whom nobody knows, so nobody meets them again.
    """
    hashes = {_hash(customer) for customer in customers if customer is not None}
    return tuple(heapq.nsmallest(NUM_HASHES, hashes))


def merge_hashes(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """The smallest hashes of both sets of customers."""
    return tuple(heapq.nsmallest(NUM_HASHES, {*first, *second}))


def shared_fraction(window: Sequence[int], earlier: Sequence[int]) -> float:
    """Share of the window's known customers who were in the earlier one (0-1), estimated.

    Below the larger of the smallest hashes that both keep, either holds all of its customers.
    """
    full = [hashes[-1] for hashes in (window, earlier) if len(hashes) >= NUM_HASHES]
    known = [one for one in window if one <= min(full, default=one)]
    return len(set(known) & set(earlier)) / len(known) if known else 0.0


def _hash(customer: str) -> int:
    digest = hashlib.blake2b(customer.encode("utf-8", "surrogatepass"), digest_size=6)
    return int.from_bytes(digest.digest(), "big")
