"""API keys: who may call what.

A key is 32 random bytes, so its plain SHA-256 may stand in the settings: salting and slow hashes
protect secrets that can be guessed, and nobody guesses among 2^256. The key itself is shown once,
by ``fedchurn api-key``, and kept nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from fedchurn.errors import SettingsError, nearest

PREDICT = "predict"
ADMIN = "admin"
SCOPES = (PREDICT, ADMIN)
PREFIX = "fedchurn_"  # so that secret scanners can find keys that leaked

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUM_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One entry of the settings.

    Attributes:
        name: who holds the key; stands in logs and counts rate limits.
        scopes: what the holder may do, some of ``SCOPES``.
        sha256: of the key as UTF-8.
    """

    name: str
    scopes: frozenset[str]
    sha256: bytes = field(repr=False)


class ApiKeys:
    """The keys of a service; falsy when there are none, so that nobody is asked for one."""

    def __init__(self, keys: Sequence[ApiKey] = ()) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def holder(self, presented: bytes) -> ApiKey | None:
        """The entry of a key as presented, or None.

        Every entry is compared, each in constant time: the answer takes as long for a wrong key as
        for a right one, wherever it stands.
        """
        digest = hashlib.sha256(presented).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.sha256):
                found = key
        return found


def read_api_keys(entries: Sequence[str]) -> ApiKeys:
    """The keys that ``NAME:SCOPES:SHA256`` entries describe; scopes are joined by ``+``.

    Raises:
        SettingsError: an entry is malformed. The message tells its place, never its content, since
            a key pasted there by mistake must not end up in a log.
    """
    keys: list[ApiKey] = []
    for place, entry in enumerate(entries, start=1):
        key = _read(entry, place)
        if key.name in {known.name for known in keys}:
            _refuse(place, "has the name of an earlier entry; names must differ")
        if key.sha256 in {known.sha256 for known in keys}:
            _refuse(place, "has the hash of an earlier entry; give everybody a key of their own")
        keys.append(key)
    return ApiKeys(keys)


def new_api_key(name: str, scopes: Sequence[str]) -> tuple[str, str]:
    """A new random key, and the ``NAME:SCOPES:SHA256`` entry for the settings.

    Raises:
        SettingsError: the name or a scope is not accepted.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot name a key",
            next_step="use at most 64 letters, digits, '_', '.' and '-'",
        )
    for scope in scopes:
        if scope not in SCOPES:
            raise SettingsError(f"unknown scope {scope!r}", next_step=nearest(scope, SCOPES))
    key = PREFIX + secrets.token_urlsafe(_NUM_KEY_BYTES)
    digest = hashlib.sha256(key.encode()).hexdigest()
    return key, f"{name}:{'+'.join(scopes)}:{digest}"


def _read(entry: str, place: int) -> ApiKey:
    parts = entry.split(":")
    if len(parts) != 3:
        _refuse(place, f"has {len(parts)} parts between colons, not 3")
    name, scopes, digest = parts
    if not _NAME.fullmatch(name):
        _refuse(place, "has a name with other characters than letters, digits, '_', '.' and '-'")
    if not set(scopes.split("+")) <= set(SCOPES):
        _refuse(place, f"has an unknown scope; accepted: {', '.join(SCOPES)}, joined by '+'")
    if not _SHA256.fullmatch(digest):
        _refuse(place, "does not end in a SHA-256 of 64 hexadecimal digits in lower case")
    return ApiKey(name, frozenset(scopes.split("+")), bytes.fromhex(digest))


def _refuse(place: int, what: str) -> NoReturn:
    raise SettingsError(
        f"entry {place} {what}",
        where="FEDCHURN_SERVE_API_KEYS",
        next_step="give NAME:SCOPES:SHA256 entries as `fedchurn api-key` prints them",
    )
