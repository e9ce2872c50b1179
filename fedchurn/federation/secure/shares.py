"""Shamir's secret sharing (1979), by pycryptodome: t of n shares give the secret, fewer nothing."""

from __future__ import annotations

from collections.abc import Mapping

from fedchurn.errors import FederationError
from fedchurn.federation.secure.masks import SECRET_BYTES

SHARE_BYTES = SECRET_BYTES


def split_secret(secret: bytes, threshold: int, num_shares: int) -> tuple[bytes, ...]:
    """Shares 1 to n of a secret of ``SECRET_BYTES``."""
    # Importing it takes 40 ms, which clients that are not asked securely need not wait for.
    from Crypto.Protocol.SecretSharing import Shamir

    return tuple(share for _, share in Shamir.split(threshold, num_shares, secret, ssss=False))


def joined_secret(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret behind shares, by their numbers from 1.

    Raises:
        FederationError: there are fewer than the threshold.
    """
    from Crypto.Protocol.SecretSharing import Shamir

    if len(shares) < threshold:
        raise FederationError(f"{len(shares)} shares of a secret, {threshold} are needed")
    used = sorted(shares.items())[:threshold]
    return bytes(Shamir.combine(used, ssss=False))
