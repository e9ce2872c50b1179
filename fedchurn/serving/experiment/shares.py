"""Who takes part in an experiment, by hash: the same for an id in every worker and for ever."""

from __future__ import annotations

import hashlib


def share_of(purpose: bytes, key: str) -> float:
    """Where ``key`` lies between 0 and 1: uniform, and independent between purposes.

    Half a microsecond. A CRC would be quicker, but two CRCs of one id differ by a constant, so an
    arm chosen by one agrees with whatever else was dealt out by another (hashed text columns are).

    Args:
        purpose: what is decided, at most 16 bytes.
        key: such as a customer's id.
    """
    digest = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=8, person=purpose)
    return (int.from_bytes(digest.digest(), "little") >> 11) / 2**53
