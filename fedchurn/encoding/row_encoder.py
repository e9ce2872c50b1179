"""The encoder for one row: the same numbers as ``Encoder.encode``, in a few microseconds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding


class RowEncoder:
    """Precomputed lines and positions of an encoder.

    ``encode(values)`` takes floats (NaN = missing) for numbers and codes for categories, derived
    features included, and gives float32 (num_inputs,), byte-equal to ``Encoder.encode``.
    """

    def __init__(self, encoder: Encoder) -> None:
        starts = {name: place.start for name, place in encoder.slices().items()}
        numbers = [e for e in encoder.encodings if isinstance(e, NumberEncoding)]
        self._num_inputs = encoder.num_inputs
        self._numbers = [
            (e.name, e.fill, starts[e.name] if e.missing_flag else None) for e in numbers
        ]
        self._hot = [
            (e.name, _positions(e, starts[e.name]))
            for e in encoder.encodings
            if isinstance(e, CategoryEncoding)
        ]
        lines = [e.lines() for e in numbers]
        counts = [len(line[0]) for line in lines]
        self._source = np.repeat(np.arange(len(numbers)), counts)
        self._slopes, self._offsets, self._floors = (
            np.array([value for line in lines for value in line[part]]) for part in range(3)
        )
        self._places = np.array(
            [
                starts[e.name] + e.missing_flag + number
                for e, count in zip(numbers, counts, strict=True)
                for number in range(count)
            ],
            dtype=np.intp,
        )

    def encode(self, values: Mapping[str, float | int]) -> NDArray[np.float32]:
        """Model inputs of one row, float32 (num_inputs,)."""
        inputs = np.zeros(self._num_inputs, dtype=np.float32)
        filled = []
        hot = []
        for name, fill, flag in self._numbers:
            value = values[name]
            if value != value:  # NaN, faster than math.isnan
                value = fill
                if flag is not None:
                    hot.append(flag)
            filled.append(value)
        lines = np.array(filled, dtype=np.float64).take(self._source)
        lines *= self._slopes
        lines -= self._offsets
        np.maximum(lines, self._floors, out=lines)
        inputs[self._places] = lines
        for name, positions in self._hot:
            place = positions.get(int(values[name]))
            if place is not None:
                hot.append(place)
        inputs[hot] = 1.0
        return inputs


def _positions(encoding: CategoryEncoding, start: int) -> dict[int, int]:
    codes = range(-2, len(encoding.labels))
    found = {code: encoding.position(code) for code in codes}
    return {code: start + place for code, place in found.items() if place is not None}
