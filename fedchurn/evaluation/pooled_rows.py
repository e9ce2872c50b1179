"""Pooled rows as matrices: what the baselines train on, and the federated model never sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING
from fedchurn.data.client_table import TEST, TRAIN, VALIDATION, ClientTable
from fedchurn.errors import DataError

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Fold = tuple[NDArray[np.intp], NDArray[np.intp]]

MAX_BOOSTED_CATEGORIES = 254  # HistGradientBoosting has 255 bins, one of them for missing values
MIN_KNOWN_ROWS = 20  # HistGradientBoosting fails on a column without values; fewer cannot split


@dataclass(frozen=True)
class PooledRows:
    """Rows of many clients in one block; ``split`` as in ``ClientTable``."""

    columns: Mapping[str, NDArray[Any]]
    target: Vector
    split: NDArray[np.int8]
    group_keys: NDArray[np.uint64]

    def seen(self) -> NDArray[np.intp]:
        """Positions of the rows that are not test rows."""
        return np.flatnonzero(self.split != TEST)

    def fitted(self, refit: bool) -> NDArray[np.intp]:
        """Positions of the rows that the final fit sees."""
        return self.seen() if refit else np.flatnonzero(self.split == TRAIN)


def pool_rows(tables: Sequence[ClientTable]) -> PooledRows:
    """Rows of all tables in one block.

    Raises:
        DataError: a table is not split, or has other columns than the first one.
    """
    names = list(tables[0].columns)
    for table in tables:
        if len(table.split) != table.num_rows:
            raise DataError("rows are not split", where=f"client {table.client}")
        if list(table.columns) != names:
            raise DataError(
                f"columns {list(table.columns)} are not {names}", where=f"client {table.client}"
            )
    return PooledRows(
        {name: np.concatenate([t.columns[name] for t in tables]) for name in names},
        np.concatenate([t.target for t in tables]).astype(np.float64),
        np.concatenate([t.split for t in tables]),
        np.concatenate([t.group_keys for t in tables]),
    )


def validation_fold(rows: PooledRows) -> list[Fold]:
    """The one fold (training rows, validation rows), as positions."""
    return [(np.flatnonzero(rows.split == TRAIN), np.flatnonzero(rows.split == VALIDATION))]


def can_train(rows: PooledRows, folds: Sequence[Fold]) -> bool:
    """Whether every fold can be trained on, and there is a row to choose settings on."""
    return all(len(np.unique(rows.target[a])) == 2 and len(b) > 0 for a, b in folds)


class OneHotDesign:
    """Scaled numbers, missing flags and one-hot codes, fitted on the ``train`` rows."""

    def __init__(self, rows: PooledRows, train: NDArray[np.intp]) -> None:
        self._numbers: dict[str, tuple[float, float]] = {}
        self._codes: dict[str, NDArray[np.int32]] = {}
        for name, values in rows.columns.items():
            if _is_coded(values):
                self._codes[name] = np.unique(values[train])
                continue
            known = values[train][~np.isnan(values[train])]
            spread = float(known.std()) if len(known) else 0.0
            self._numbers[name] = (float(known.mean()) if len(known) else 0.0, spread or 1.0)

    def matrix(self, columns: Mapping[str, NDArray[Any]]) -> Matrix:
        """float64 (n, inputs) of any rows with the same columns."""
        blocks = []
        for name, (mean, spread) in self._numbers.items():
            missing = np.isnan(columns[name])
            scaled = (np.where(missing, mean, columns[name]) - mean) / spread
            blocks += [scaled[:, None], missing[:, None].astype(np.float64)]
        for name, codes in self._codes.items():
            blocks.append((columns[name][:, None] == codes[None, :]).astype(np.float64))
        return np.concatenate(blocks, axis=1)


class BoostingInputs:
    """Numbers as they are, codes as whole numbers; missing, unknown and rare codes become NaN.

    A number that hardly any row has becomes 0 throughout.
    """

    def __init__(self, rows: PooledRows) -> None:
        self.is_category = np.asarray([_is_coded(v) for v in rows.columns.values()])
        self._kept: dict[str, NDArray[np.int32]] = {}
        self._empty: set[str] = set()
        for name, values in rows.columns.items():
            if _is_coded(values):
                codes, counts = np.unique(values[rows.seen()], return_counts=True)
                order = np.lexsort((codes, -counts))
                frequent = codes[order][codes[order] > MISSING][:MAX_BOOSTED_CATEGORIES]
                self._kept[name] = np.sort(frequent)
            elif np.isfinite(values[rows.seen()]).sum() < MIN_KNOWN_ROWS:
                self._empty.add(name)

    def matrix(self, columns: Mapping[str, NDArray[Any]]) -> Matrix:
        """float64 (n, columns) of any rows with the same columns."""
        return np.stack([self._column(n, columns[n]) for n in columns], axis=1)

    def _column(self, name: str, values: NDArray[Any]) -> Vector:
        if name in self._empty:
            return np.zeros(len(values))
        if name not in self._kept:
            return np.asarray(values, dtype=np.float64)
        kept = self._kept[name]
        places = np.searchsorted(kept, values)
        found = np.isin(values, kept)
        return np.where(found, places, np.nan).astype(np.float64)


def _is_coded(values: NDArray[Any]) -> bool:
    return bool(np.issubdtype(values.dtype, np.integer))
