"""The encoder: one record that turns canonical columns into model inputs, in training and serving.

A number feature v gives

    [1 if missing]  a*v - b   max(a*v - b_1, 0)  ...  max(a*v - b_K, 0)

with a = 1/scale, b = center/scale and b_k = knot_k/scale: a piecewise-linear basis (truncated lines
at federated quantiles); K = 0 gives plain scaling. A missing value is replaced by ``fill`` and
flagged.
A category gives one 0/1 input per label, one for unknown labels and one for missing values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING, UNKNOWN, Columns

_CHUNK_ROWS = 4096  # keeps the written block inside the processor's cache


@dataclass(frozen=True)
class NumberEncoding:
    """How one number feature is encoded.

    Attributes:
        name: the feature.
        center: subtracted first, in the feature's unit.
        scale: divided by, in the feature's unit, above 0.
        fill: value that stands in for a missing one, in the feature's unit.
        knots: where the slope may change, in the feature's unit, ascending.
        missing_flag: whether an input says that the value is missing.
    """

    name: str
    center: float
    scale: float
    fill: float
    knots: tuple[float, ...]
    missing_flag: bool

    @property
    def width(self) -> int:
        return 1 + len(self.knots) + self.missing_flag

    def input_names(self) -> tuple[str, ...]:
        flag = (f"{self.name} is missing",) if self.missing_flag else ()
        return (*flag, self.name, *(f"{self.name} > {knot:g}" for knot in self.knots))

    def lines(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Slopes, offsets and floors, one per knot plus one: ``max(slope*v - offset, floor)``."""
        starts = np.array([self.center, *self.knots])
        slopes = np.full(len(starts), 1.0 / self.scale)
        floors = np.array([-np.inf, *([0.0] * len(self.knots))])
        return slopes, starts / self.scale, floors

    def write(self, values: NDArray[Any], out: NDArray[np.float32]) -> None:
        missing = np.isnan(values)
        if self.missing_flag:
            out[:, 0] = missing
        slopes, offsets, floors = self.lines()
        scaled = np.where(missing, self.fill, values) * slopes[0]
        # All lines at once, each a contiguous row: a third faster than column by column.
        lines = scaled - offsets[:, None]
        np.maximum(lines, floors[:, None], out=lines)
        out[:, int(self.missing_flag) :] = lines.T


@dataclass(frozen=True)
class CategoryEncoding:
    """How one category feature is encoded: one input per label, then unknown, then missing."""

    name: str
    labels: tuple[str, ...]
    missing_flag: bool

    @property
    def width(self) -> int:
        return len(self.labels) + 1 + self.missing_flag

    def input_names(self) -> tuple[str, ...]:
        flag = (f"{self.name} is missing",) if self.missing_flag else ()
        return (*(f"{self.name} = {label}" for label in self.labels), f"{self.name} unknown", *flag)

    def position(self, code: int) -> int | None:
        """Which input is 1 for a code; None when no input is (missing without a flag)."""
        if code == UNKNOWN:
            return len(self.labels)
        if code == MISSING:
            return len(self.labels) + 1 if self.missing_flag else None
        return code

    def write(self, codes: NDArray[Any], out: NDArray[np.float32]) -> None:
        positions = np.where(codes == UNKNOWN, len(self.labels), codes)
        positions = np.where(codes == MISSING, len(self.labels) + 1, positions)
        rows = np.flatnonzero(positions < self.width)
        out[rows, positions[rows]] = 1.0


@dataclass(frozen=True)
class Encoder:
    """All encodings in input order; see the module docstring."""

    encodings: tuple[NumberEncoding | CategoryEncoding, ...]

    @property
    def num_inputs(self) -> int:
        return sum(e.width for e in self.encodings)

    def input_names(self) -> tuple[str, ...]:
        """One name per input."""
        return tuple(name for e in self.encodings for name in e.input_names())

    def slices(self) -> dict[str, slice]:
        """Which inputs belong to which feature."""
        result: dict[str, slice] = {}
        start = 0
        for encoding in self.encodings:
            result[encoding.name] = slice(start, start + encoding.width)
            start += encoding.width
        return result

    def encode(self, columns: Columns) -> NDArray[np.float32]:
        """Model inputs of n rows, float32 (n, num_inputs)."""
        num_rows = len(next(iter(columns.values())))
        inputs = np.zeros((num_rows, self.num_inputs), dtype=np.float32)
        places = self.slices()
        for start in range(0, num_rows, _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            for encoding in self.encodings:
                encoding.write(columns[encoding.name][rows], inputs[rows, places[encoding.name]])
        return inputs

    def encode_chunks(self, columns: Columns, num_rows: int) -> Iterator[NDArray[np.float32]]:
        """``encode`` in blocks of ``num_rows`` rows, for tables whose inputs do not fit memory."""
        total = len(next(iter(columns.values())))
        for start in range(0, total, num_rows):
            rows = slice(start, start + num_rows)
            yield self.encode({name: values[rows] for name, values in columns.items()})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; ``from_dict`` reads it."""
        return {
            "format": 1,
            "encodings": [
                {"kind": "number" if isinstance(e, NumberEncoding) else "category", **asdict(e)}
                for e in self.encodings
            ],
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Encoder:
        """The encoder behind ``to_dict``."""
        return cls(tuple(_encoding(dict(item)) for item in stored["encodings"]))

    def to_json(self) -> str:
        """Canonical JSON: equal encoders give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """sha256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def _encoding(item: dict[str, Any]) -> NumberEncoding | CategoryEncoding:
    if item.pop("kind") == "number":
        return NumberEncoding(**{**item, "knots": tuple(item["knots"])})
    return CategoryEncoding(**{**item, "labels": tuple(item["labels"])})
