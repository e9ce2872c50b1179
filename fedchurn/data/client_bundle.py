"""Many clients' rows in one folder: an array file per column, client after client.

A thousand small npz files take seconds to write and to read; here a client is a span of rows, and
only the spans that are asked for are read from the disk (the arrays are mapped into memory).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedchurn.data.client_table import ClientTable, load_client_table

SUFFIX = ".rows"

_INDEX = "index.json"
_FIELDS = ("target", "customer_groups", "group_keys", "row_numbers", "split")


def save_client_bundle(tables: Sequence[ClientTable], folder: Path) -> dict[str, Path]:
    """Write the tables into a new ``folder``, whose name must end in ``.rows``.

    Returns:
        a path per client, to be read with ``load_client``; there is no such file.
    """
    folder.mkdir()
    names = list(tables[0].columns)
    for number, name in enumerate(names):
        _save(folder / f"column_{number}.npy", [table.columns[name] for table in tables])
    for field in _FIELDS:
        _save(folder / f"{field}.npy", [getattr(table, field) for table in tables])
    index = {
        "columns": names,
        "clients": [table.client for table in tables],
        "ends": np.cumsum([table.num_rows for table in tables]).tolist(),
    }
    (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")
    return {table.client: folder / str(place) for place, table in enumerate(tables)}


def load_client(path: Path) -> ClientTable:
    """One client's rows, from a file of their own or from a bundle."""
    if path.parent.suffix != SUFFIX:
        return load_client_table(path)
    return _opened(path.parent, (path.parent / _INDEX).stat().st_mtime_ns).table(int(path.name))


@dataclass(frozen=True)
class _Bundle:
    clients: tuple[str, ...]
    ends: tuple[int, ...]
    columns: dict[str, NDArray[np.generic]]
    fields: dict[str, NDArray[np.generic]]

    def table(self, place: int) -> ClientTable:
        rows = slice(self.ends[place - 1] if place else 0, self.ends[place])
        columns = {name: np.array(values[rows]) for name, values in self.columns.items()}
        own = {name: np.array(values[rows]) for name, values in self.fields.items()}
        return ClientTable(self.clients[place], columns, **own)


@lru_cache(maxsize=4)
def _opened(folder: Path, written_ns: int) -> _Bundle:  # noqa: ARG001
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    return _Bundle(
        tuple(index["clients"]),
        tuple(index["ends"]),
        {name: _mapped(folder, f"column_{n}") for n, name in enumerate(index["columns"])},
        {name: _mapped(folder, name) for name in _FIELDS},
    )


def _mapped(folder: Path, name: str) -> NDArray[np.generic]:
    array: NDArray[np.generic] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return array.view(np.ndarray)  # slices of a plain array are quicker than of a memmap


def _save(path: Path, parts: Sequence[NDArray[np.generic]]) -> None:
    np.save(path, np.concatenate(parts), allow_pickle=False)
