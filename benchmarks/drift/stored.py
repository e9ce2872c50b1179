"""Windows on disk, the same for everybody; needs numpy alone, since peers live elsewhere.

A folder of one data set holds::

    meta.json                        contract, names, num_labels, sizes, shifts
    population.npy                   float64 (p, c): the file's rows, labels as codes
    customers.npy                    int64 (p,): equal numbers are copies of one customer
    SIZE/references.npy              int32 (k, reference_rows): rows of the population
    SIZE/none.npy                    int32 (k, window_rows): windows without any drift
    SIZE/SHIFT.npy                   float64 (s, window_rows, c), s <= k: windows ``none`` after it
    SIZE/stream_references.npy       int32 (m, reference_rows)
    SIZE/stream_none.npy             int32 (m, t, window_rows): t windows in a row
    SIZE/stream_SHIFT.npy            float64 (d, u, window_rows, c), d <= m: the first u windows

where SIZE is ``REFERENCEROWS_WINDOWROWS`` and a missing value is NaN in any column. Window
i belongs to reference i.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

NONE = "none"


@dataclass(frozen=True)
class Meta:
    """What the columns and windows of a folder are.

    Attributes:
        contract: its name.
        names: of the columns, in contract order.
        num_labels: of every category column; the others are numbers.
        sizes: (rows of the reference, rows of a window).
        shifts: names of the shifts.
    """

    contract: str
    names: tuple[str, ...]
    num_labels: dict[str, int]
    sizes: tuple[tuple[int, int], ...]
    shifts: tuple[str, ...]

    @property
    def numbers(self) -> list[str]:
        """Names of the number columns."""
        return [name for name in self.names if name not in self.num_labels]


@dataclass(frozen=True)
class Check:
    """One check: reference (n, c) and window (m, c)."""

    reference: np.ndarray[Any, Any]
    window: np.ndarray[Any, Any]


@dataclass(frozen=True)
class StoredWindows:
    """Windows of one folder."""

    folder: Path
    meta: Meta
    population: np.ndarray[Any, Any]

    def checks(
        self, size: tuple[int, int], shift: str = NONE, most: int | None = None
    ) -> Iterator[Check]:
        """One pair of reference and window after another."""
        references, windows = self.load(size, "references"), self.load(size, shift)
        for reference, window in zip(references, windows[:most], strict=False):
            yield Check(self.population[reference], self.rows(window))

    def streams(
        self, size: tuple[int, int], shift: str = NONE, most: int | None = None
    ) -> Iterator[list[Check]]:
        """The windows of one reference after another."""
        references = self.load(size, "stream_references")
        streams = self.load(size, f"stream_{shift}")
        for reference, windows in zip(references, streams[:most], strict=False):
            known = self.population[reference]
            yield [Check(known, self.rows(window)) for window in windows]

    def rows(self, window: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Values of a window that is stored as such or as rows of the population."""
        return self.population[window] if window.dtype.kind == "i" else np.asarray(window)

    def load(self, size: tuple[int, int], name: str) -> np.ndarray[Any, Any]:
        """One array of the folder, mapped."""
        return np.load(self.folder / folder_name(size) / f"{name}.npy", mmap_mode="r")


def folder_name(size: tuple[int, int]) -> str:
    """``REFERENCEROWS_WINDOWROWS``."""
    return f"{size[0]}_{size[1]}"


def read_windows(folder: Path) -> StoredWindows:
    """What ``write_meta`` and ``streams`` wrote."""
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    return StoredWindows(
        folder,
        Meta(
            meta["contract"],
            tuple(meta["names"]),
            meta["num_labels"],
            tuple((int(a), int(b)) for a, b in meta["sizes"]),
            tuple(meta["shifts"]),
        ),
        np.load(folder / "population.npy"),
    )


def write_meta(folder: Path, meta: Meta) -> None:
    """Write ``meta.json``."""
    (folder / "meta.json").write_text(json.dumps(asdict(meta), indent=2), "utf-8")
