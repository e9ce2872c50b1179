"""The content of rows as integers, so that "equal" and "shifted by" are exact questions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract

LABEL = "label"
_MISSING_NUMBER = np.iinfo(np.int64).min
_SIGNIFICANT_DIGITS = 15
_MAX_DECIMALS = 9


@dataclass(frozen=True)
class Content:
    """n rows of d contract columns and the label (last), derived features left out.

    Attributes:
        names: column names; the label is last.
        codes: int32 (n, d + 1), equal codes = equal values; missing is a value of its own.
        numbers: positions (in ``names``) of the number columns.
        scaled: int64 (n, numbers): each number in units of ``steps``; missing = the smallest int64.
        steps: unit of each number column, a power of ten: 0.01 for amounts in cents.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int32]
    numbers: tuple[int, ...]
    scaled: NDArray[np.int64]
    steps: tuple[float, ...]

    @property
    def num_rows(self) -> int:
        return len(self.codes)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where a number is missing, (n, numbers)."""
        return self.scaled == _MISSING_NUMBER

    def take(self, rows: NDArray[np.intp]) -> Content:
        """The given rows; codes are numbered afresh, so that they stay dense."""
        codes = [np.unique(column, return_inverse=True)[1] for column in self.codes[rows].T]
        return replace(
            self, codes=np.stack(codes, axis=1).astype(np.int32), scaled=self.scaled[rows]
        )


def row_content(columns: Columns, target: NDArray[np.int8], contract: Contract) -> Content:
    """Rows of the contract's own columns, and their labels, as integer codes."""
    codes, scaled, steps, numbers = [], [], [], []
    names = tuple(contract.columns)
    for position, name in enumerate(names):
        values: NDArray[np.generic] = columns[name]
        if contract.columns[name].is_number:
            whole, step = _scale(np.asarray(values, dtype=np.float64))
            scaled.append(whole)
            steps.append(step)
            numbers.append(position)
            values = whole
        codes.append(pd.factorize(values)[0].astype(np.int32))
    codes.append(np.asarray(target, dtype=np.int32))
    empty = np.empty((len(target), 0), dtype=np.int64)
    return Content(
        names=(*names, LABEL),
        codes=np.stack(codes, axis=1),
        numbers=tuple(numbers),
        scaled=np.stack(scaled, axis=1) if scaled else empty,
        steps=tuple(steps),
    )


def _scale(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """Numbers as whole multiples of the coarsest power of ten that holds them all."""
    known = values[np.isfinite(values)]
    largest = float(np.abs(known).max()) if len(known) else 0.0
    room = _SIGNIFICANT_DIGITS - int(np.ceil(np.log10(largest + 1.0)))
    most = min(_MAX_DECIMALS, room)  # negative for numbers of more than 15 digits
    decimals = next((k for k in range(most) if _fits(known, k, largest)), most)
    whole = np.full(len(values), _MISSING_NUMBER, dtype=np.int64)
    finite = np.isfinite(values)
    whole[finite] = np.rint(values[finite] * 10.0**decimals)
    return whole, float(10.0**-decimals)


def _fits(known: NDArray[np.float64], decimals: int, largest: float) -> bool:
    tolerance = 1e-12 * max(1.0, largest)
    sample = known[:2000]
    for part in (sample, known):  # most columns that do not fit say so at once
        if not bool((np.abs(np.round(part, decimals) - part) <= tolerance).all()):
            return False
    return True


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64 finaliser (Steele, Lea and Flood 2014): spreads every bit over all 64."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hash_codes(codes: NDArray[np.int32], positions: tuple[int, ...]) -> NDArray[np.uint64]:
    """One uint64 per row over the given columns of ``codes``."""
    total = np.zeros(len(codes), dtype=np.uint64)
    for position in positions:
        salt = np.uint64((position + 1) * 0x632BE59BD9B4E019 % 2**64)
        total += mix(codes[:, position].astype(np.uint64) ^ salt)
    return mix(total)


def hash_columns(columns: Mapping[str, NDArray[np.generic]]) -> NDArray[np.uint64]:
    """Content hash of canonical rows: equal in every process, on every machine, in any order.

    Numbers count to nine decimals, so that 0.1 + 0.2 equals 0.3; missing is a value.
    """
    first = next(iter(columns.values()))
    total = np.zeros(len(first), dtype=np.uint64)
    for name in sorted(columns):
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        total += mix(_bits(columns[name]) ^ np.uint64(int.from_bytes(digest, "big")))
    return mix(total)


def _bits(values: NDArray[np.generic]) -> NDArray[np.uint64]:
    if values.dtype.kind != "f":
        return values.astype(np.int64).view(np.uint64)
    rounded = np.round(values.astype(np.float64), _MAX_DECIMALS) + 0.0  # -0.0 becomes 0.0
    return np.where(np.isnan(rounded), np.nan, rounded).view(np.uint64)
