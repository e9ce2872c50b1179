"""Named arrays of many clients as few arrays: a file of an array per client and name is slow.

Clients whose arrays have the same names, types and shapes are stacked along a new first axis; as a
rule these are all clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CLIENTS, _PLACES = "clients", ".places"


def stacked(parts: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Arrays of clients by name of client and array, as arrays that ``unstacked`` takes apart."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    everyone = list(parts)
    for place, client in enumerate(everyone):
        kind = tuple((n, a.dtype.str, a.shape) for n, a in parts[client].items())
        groups.setdefault(kind, []).append(place)
    # Client names may hold any character, so they are kept as values.
    arrays: dict[str, NDArray[Any]] = {_CLIENTS: np.array(everyone, dtype=np.str_)}
    for number, (kind, places) in enumerate(groups.items()):
        arrays[f"{number}{_PLACES}"] = np.array(places, dtype=np.int64)
        for name, _, _ in kind:
            arrays[f"{number}/{name}"] = np.stack([parts[everyone[p]][name] for p in places])
    return arrays


def unstacked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """The arrays behind ``stacked``, clients in the same order."""
    everyone = [str(client) for client in arrays[_CLIENTS]]
    parts: dict[str, dict[str, NDArray[Any]]] = {client: {} for client in everyone}
    for key, array in arrays.items():
        group, slash, name = key.partition("/")
        if slash:
            for place, own in zip(arrays[f"{group}{_PLACES}"].tolist(), array, strict=True):
                parts[everyone[place]][name] = np.asarray(own)
    return parts
