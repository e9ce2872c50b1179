"""Model updates as flat vectors, and as the arrays of a reply.

An update is weights after training minus weights before, all arrays of the model in the order of
its spec, one after another. It travels as ``update`` (size,), or as ``update.places`` and
``update.values`` when only its largest parts are sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import FederationError
from fedchurn.federation.exchange import Reply
from fedchurn.learning.spec import ModelSpec, Weights

UPDATE, PLACES, VALUES = "update", "update.places", "update.values"
CORRECTION = "correction"  # (size,), what a client adds to every gradient; sent down to it alone


def flat(weights: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """All arrays one after another, (size,)."""
    return np.concatenate([np.asarray(array, dtype=np.float64).ravel() for array in weights])


def unflat(spec: ModelSpec, vector: NDArray[np.floating]) -> Weights:
    """float32 arrays in the order of the spec."""
    arrays, start = [], 0
    for _, shape in spec.weight_shapes():
        size = int(np.prod(shape))
        arrays.append(vector[start : start + size].reshape(shape).astype(np.float32))
        start += size
    return tuple(arrays)


@lru_cache(maxsize=16)  # asked for every reply
def num_weights(spec: ModelSpec) -> int:
    """Size of a flat update."""
    return sum(int(np.prod(shape)) for _, shape in spec.weight_shapes())


def update_of(reply: Reply, size: int) -> NDArray[np.floating]:
    """The update (size,) in a reply: one client's own, or the weighted sum of several.

    In float64, or as it was sent in float32: of a thousand updates a copy takes as long as a round.

    Raises:
        FederationError: the reply holds no update of this size.
    """
    try:
        if UPDATE in reply.arrays:
            sent = reply.arrays[UPDATE]
            vector: NDArray[np.floating] = np.asarray(
                sent, dtype=np.float32 if sent.dtype == np.float32 else np.float64
            )
        else:
            vector = np.zeros(size)
            places = np.asarray(reply.arrays[PLACES], dtype=np.int64)
            if places.size and (places.min() < 0 or len(np.unique(places)) != len(places)):
                raise ValueError("places that repeat, or are negative")
            vector[places] = np.asarray(reply.arrays[VALUES], dtype=np.float64)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise FederationError(
            f"an update that cannot be read: {error}",
            where=f"client {reply.client!r}",
            next_step="use the same fedchurn everywhere",
        ) from error
    if vector.shape != (size,):
        raise FederationError(
            f"an update of shape {vector.shape}, expected {(size,)}",
            where=f"client {reply.client!r}",
            next_step="the client must run the recipe of this federation",
        )
    return vector
