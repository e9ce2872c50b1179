"""Canonical columns: the only form in which rows meet arithmetic.

``Columns`` maps a feature name to one array of n rows:

- a number is float64, missing = NaN;
- a category or text is int32 codes: position in ``labels``, missing = -1, unknown label = -2.

Both training frames and single requests become ``Columns``; ``add_derived`` then appends the
contract's derived features, so training and serving cannot differ.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.derived import Bins, Count, Cross, Hashed, Product, Ratio, Threshold
from fedchurn.contract.schema import Contract

MISSING = -1
UNKNOWN = -2

Columns = dict[str, NDArray[np.float64] | NDArray[np.int32]]


@dataclass(frozen=True)
class Feature:
    """What a feature is once canonical; ``labels`` is None for numbers."""

    name: str
    labels: tuple[str, ...] | None

    @property
    def is_number(self) -> bool:
        return self.labels is None


def features(contract: Contract) -> tuple[Feature, ...]:
    """All features of a contract, columns first and then derived ones, in contract order."""
    known: dict[str, Feature] = {}
    for name, column in contract.columns.items():
        known[name] = Feature(name, None if column.is_number else column_labels(contract, name))
    for name, op in contract.derived.items():
        known[name] = Feature(name, _derived_labels(op, known))
    return tuple(known.values())


def column_labels(contract: Contract, name: str) -> tuple[str, ...]:
    """Labels behind the codes of a category, or bucket numbers of a text column."""
    column = contract.columns[name]
    if column.kind == "text":
        return _bucket_labels(column.buckets)
    return column.categories or ()


def text_code(value: str, buckets: int) -> int:
    """Stable hash bucket of a text (CRC-32, equal on every machine and in every process)."""
    return zlib.crc32(value.encode("utf-8")) % buckets


def _bucket_labels(buckets: int) -> tuple[str, ...]:
    return tuple(f"bucket_{i}" for i in range(buckets))


def _derived_labels(op: object, known: dict[str, Feature]) -> tuple[str, ...] | None:
    match op:
        case Threshold():
            return ("no", "yes")
        case Bins():
            return op.labels
        case Cross():
            parts = [known[c].labels or () for c in op.columns]
            return tuple("_x_".join(combo) for combo in itertools.product(*parts))
        case Hashed():
            return _bucket_labels(op.buckets)
    return None


def add_derived(columns: Columns, contract: Contract) -> Columns:
    """``columns`` plus the contract's derived features; the input is not changed."""
    known = {f.name: f for f in features(contract)}
    result = dict(columns)
    for name, op in contract.derived.items():
        result[name] = _derive(op, result, known)
    return result


def _derive(
    op: object, columns: Columns, known: dict[str, Feature]
) -> NDArray[np.float64] | NDArray[np.int32]:
    match op:
        case Ratio():
            return _ratio(op, columns)
        case Product():
            product = np.prod([columns[c] for c in op.columns], axis=0)
            return _rounded(product, op.decimals)
        case Threshold():
            values = columns[op.column]
            return np.where(np.isnan(values), MISSING, values >= op.at_least).astype(np.int32)
        case Bins():
            values = columns[op.column]
            codes = np.searchsorted(np.asarray(op.edges), values, side="left")
            return np.where(np.isnan(values), MISSING, codes).astype(np.int32)
        case Count():
            hits = [np.isin(columns[c], _codes_of(known[c], op.labels)) for c in op.columns]
            return np.sum(hits, axis=0).astype(np.float64)
        case Cross():
            return _cross([columns[c] for c in op.columns], [known[c] for c in op.columns])
        case Hashed():
            return _hash(
                [columns[c] for c in op.columns], [known[c] for c in op.columns], op.buckets
            )
    raise TypeError(f"unknown derived operation {op!r}")


def _ratio(op: Ratio, columns: Columns) -> NDArray[np.float64]:
    below = np.asarray(columns[op.denominator], dtype=np.float64)
    if op.floor is not None:
        below = np.maximum(below, op.floor)
    below = below + op.plus
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = op.scale * columns[op.numerator] / below
    return _rounded(np.where(np.isfinite(ratio), ratio, np.nan), op.decimals)


def _rounded(values: NDArray[np.float64], decimals: int | None) -> NDArray[np.float64]:
    return values if decimals is None else np.round(values, decimals)


def _codes_of(feature: Feature, labels: Sequence[str]) -> list[int]:
    return [i for i, label in enumerate(feature.labels or ()) if label in labels]


def _cross(
    parts: Sequence[NDArray[np.float64] | NDArray[np.int32]], known: Sequence[Feature]
) -> NDArray[np.int32]:
    code = np.zeros(len(parts[0]), dtype=np.int64)
    lowest = np.zeros(len(parts[0]), dtype=np.int64)
    for part, feature in zip(parts, known, strict=True):
        code = code * len(feature.labels or ()) + part.astype(np.int64)
        lowest = np.minimum(lowest, part.astype(np.int64))
    return np.where(lowest < 0, lowest, code).astype(np.int32)


def _hash(
    parts: Sequence[NDArray[np.float64] | NDArray[np.int32]],
    known: Sequence[Feature],
    buckets: int,
) -> NDArray[np.int32]:
    stacked = np.stack([p.astype(np.int64) for p in parts], axis=1)
    distinct, inverse = np.unique(stacked, axis=0, return_inverse=True)
    codes = [_hash_row(row, known, buckets) for row in distinct.tolist()]
    return np.asarray(codes, dtype=np.int32)[inverse.reshape(-1)]


def _hash_row(row: Sequence[int], known: Sequence[Feature], buckets: int) -> int:
    if MISSING in row:
        return MISSING
    labels = [(f.labels or ())[c] if c >= 0 else "?" for f, c in zip(known, row, strict=True)]
    return text_code("\x1f".join(labels), buckets)
