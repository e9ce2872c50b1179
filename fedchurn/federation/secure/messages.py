"""The protocol's four messages inside requests and replies.

secure_keys     -> public keys of a client, for several questions
secure_shares   all keys -> sealed shares for every other client
secure_sum      sealed shares, the question -> the masked vector
secure_unmask   survivors -> shares of their seeds, and of the absent ones' mask secrets
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedchurn.federation.exchange import Arrays, Request, Scalar
from fedchurn.federation.joining.facts import STAMP

KEYS, SHARES, SUM, UNMASK = "secure_keys", "secure_shares", "secure_sum", "secure_unmask"
STEPS = (KEYS, SHARES, SUM, UNMASK)
PUBLICS, SEALED, SEED_DIGESTS = "secure.publics", "secure.sealed", "secure.seed_digests"
WORDS, LAYOUT = "secure.words", "secure.layout"
SEED_SHARES, MASK_SHARES = "secure.seed_shares", "secure.mask_shares"

Bytes = NDArray[np.uint8]


def bytes_array(parts: Sequence[bytes], width: int) -> Bytes:
    """Equally long byte strings as rows, (n, width)."""
    return np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, width)


def byte_rows(array: NDArray[np.generic], num_rows: int, width: int) -> list[bytes]:
    """The byte strings behind ``bytes_array``.

    Raises:
        ValueError: other rows than expected.
    """
    found = np.asarray(array)
    if found.dtype != np.uint8 or found.shape != (num_rows, width):
        raise ValueError(f"{found.dtype} of shape {found.shape}, not ({num_rows}, {width}) bytes")
    return [row.tobytes() for row in found]


def names_json(names: Sequence[str]) -> str:
    """Client names as a setting."""
    return json.dumps(list(names))


def names_of(request: Request, key: str) -> tuple[str, ...]:
    """The names behind ``names_json``.

    Raises:
        ValueError: they are not sorted names, each once.
    """
    names = [str(name) for name in json.loads(str(request.config[key]))]
    if names != sorted(set(names)):
        raise ValueError(f"{key} are not sorted names, each once")
    return tuple(names)


def wrapped(
    request: Request,
    setup_id: str,
    question: int,
    sharers: Sequence[str],
    own_arrays: Mapping[str, Arrays],
) -> Request:
    """A question inside ``secure_sum``."""
    inner = {"task": request.task, "config": dict(request.config)}
    config: dict[str, Scalar] = {
        "setup": setup_id,
        "question": question,
        "sharers": names_json(sharers),
        "inner": json.dumps(inner, sort_keys=True),
    }
    return replace(request, task=SUM, config=config, own_arrays=own_arrays)


def unwrapped(request: Request) -> Request:
    """The question behind ``wrapped``."""
    inner = json.loads(str(request.config["inner"]))
    arrays = {name: array for name, array in request.arrays.items() if name != SEALED}
    return Request(str(inner["task"]), request.round_num, arrays, inner["config"])


def question_digest(request: Request) -> str:
    """Equal for equal questions, whatever the setup."""
    digest = hashlib.sha256(
        json.dumps([request.task, request.round_num, dict(request.config)], sort_keys=True).encode()
    )
    for name, array in sorted(request.arrays.items()):
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def common_digest(request: Request) -> str:
    """Of what all clients are asked alike: all but the stamp, which is each client's own."""
    common = {name: array for name, array in request.arrays.items() if name != STAMP}
    return question_digest(replace(request, arrays=common))


def names_digest(names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(sorted(names)).encode()).hexdigest()[:32]
