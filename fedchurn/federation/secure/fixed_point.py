"""Named arrays as whole numbers that add up exactly, for masking, and back.

Whole numbers stay as they are. Other numbers are rounded once, at the client, to multiples of
2^-24 in 64 bits, or of 2^-40 in 128 bits where sums of squares of any column must fit
(``wide``). A client refuses values that n clients together could overflow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import FederationError
from fedchurn.federation.exchange import Arrays
from fedchurn.federation.secure.ring import Words, negative_words

FRACTION_BITS = 24
WIDE_FRACTION_BITS = 40
NUMBERS = "numbers"

_INTEGER, _FLOAT, _WIDE = "integer", "float", "wide"
_WORD = 2.0**64


@dataclass(frozen=True)
class Layout:
    """Which array stands where in a vector; equal for all clients of a sum.

    Attributes:
        entries: name, shape and kind of every array, sorted by name.
        numbers: names of the reply's scalars, sorted.
    """

    entries: tuple[tuple[str, tuple[int, ...], str], ...]
    numbers: tuple[str, ...]

    @property
    def num_single(self) -> int:
        """Numbers of one word."""
        return sum(math.prod(shape) for _, shape, kind in self.entries if kind != _WIDE)

    @property
    def num_wide(self) -> int:
        """Numbers of two words."""
        of_arrays = sum(math.prod(shape) for _, shape, kind in self.entries if kind == _WIDE)
        return of_arrays + len(self.numbers)

    @property
    def num_words(self) -> int:
        return self.num_single + 2 * self.num_wide

    def to_json(self) -> str:
        return json.dumps({"entries": self.entries, "numbers": self.numbers})

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """The layout behind ``to_json``.

        Raises:
            ValueError: the text is no layout.
        """
        try:
            stored = json.loads(text)
            entries = tuple(_entry(*entry) for entry in stored["entries"])
            return cls(entries, tuple(str(name) for name in stored["numbers"]))
        except (KeyError, OverflowError, RecursionError, TypeError) as error:
            raise ValueError(f"not a layout of arrays: {error!r}") from error


def _entry(name: str, shape: list[int], kind: str) -> tuple[str, tuple[int, ...], str]:
    if kind not in (_INTEGER, _FLOAT, _WIDE) or min(shape, default=0) < 0:
        raise ValueError(f"{name} is {kind} of shape {shape}")
    return str(name), tuple(int(size) for size in shape), kind


def to_words(
    arrays: Arrays, numbers: Mapping[str, float], num_clients: int, *, wide: bool = False
) -> tuple[Layout, Words]:
    """A vector of whole numbers, and what stands where.

    Args:
        arrays: named arrays of numbers.
        numbers: named scalars; always wide.
        num_clients: how many such vectors may be added.
        wide: floating-point arrays take two words each.

    Raises:
        FederationError: a value is not finite, or so large that the sum could overflow.
    """
    named = {name: np.asarray(array) for name, array in sorted(arrays.items())}
    layout = Layout(
        tuple((name, array.shape, _kind(name, array, wide)) for name, array in named.items()),
        tuple(sorted(numbers)),
    )
    single, pairs = [], []
    for name, _, kind in layout.entries:
        flat = named[name].ravel()
        if kind == _WIDE:
            pairs.append(_wide_words(name, flat.astype(np.float64), num_clients))
        else:
            single.append(_single_words(name, flat, num_clients))
    scalars = np.array([numbers[name] for name in layout.numbers], dtype=np.float64)
    pairs.append(_wide_words(", ".join(layout.numbers), scalars, num_clients))
    low, high = ([pair[side] for pair in pairs] for side in (0, 1))
    return layout, np.concatenate([np.zeros(0, dtype=np.uint64), *single, *low, *high])


def from_words(layout: Layout, words: Words) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """The arrays (int64 or float64) and scalars of a sum.

    Raises:
        ValueError: the vector has not the layout's length.
    """
    if len(words) != layout.num_words:
        raise ValueError(f"{len(words)} words, the layout has {layout.num_words}")
    wide = _wide_values(words[layout.num_single :])
    arrays: dict[str, NDArray[Any]] = {}
    at_single = at_wide = 0
    for name, shape, kind in layout.entries:
        size = math.prod(shape)
        if kind == _WIDE:
            arrays[name] = wide[at_wide : at_wide + size].reshape(shape)
            at_wide += size
        else:
            whole = words[at_single : at_single + size].view(np.int64).reshape(shape)
            arrays[name] = whole.copy() if kind == _INTEGER else whole / 2.0**FRACTION_BITS
            at_single += size
    return arrays, dict(zip(layout.numbers, wide[at_wide:].tolist(), strict=True))


def _kind(name: str, array: NDArray[Any], wide: bool) -> str:
    if array.dtype.kind in "iub":
        return _INTEGER
    if array.dtype.kind != "f":
        raise FederationError(f"{name} holds {array.dtype}, which cannot be added")
    return _WIDE if wide else _FLOAT


def _single_words(name: str, values: NDArray[Any], num_clients: int) -> Words:
    if values.dtype.kind == "f":
        ticks = np.rint(_finite(name, values.astype(np.float64)) * 2.0**FRACTION_BITS)
        most = 2.0**62 / num_clients
        _refuse_large(name, ticks, most, most / 2.0**FRACTION_BITS, num_clients)
        return ticks.astype(np.int64).view(np.uint64)
    limit = (2**63 - 1) // num_clients
    _refuse_large(name, values, limit, limit, num_clients)
    return values.astype(np.int64).view(np.uint64)


def _wide_words(name: str, values: NDArray[np.float64], num_clients: int) -> tuple[Words, Words]:
    ticks = np.rint(_finite(name, values) * 2.0**WIDE_FRACTION_BITS)
    most = 2.0**126 / num_clients
    _refuse_large(name, ticks, most, most / 2.0**WIDE_FRACTION_BITS, num_clients)
    # Both halves of a magnitude are exact in float64, of which only 53 bits are in use.
    size = np.abs(ticks)
    high = np.floor(size / _WORD)
    words = np.concatenate([(size - high * _WORD).astype(np.uint64), high.astype(np.uint64)])
    negative = np.tile(ticks < 0, 2)
    words = np.where(negative, negative_words(words, 0), words)
    return words[: len(values)], words[len(values) :]


def _wide_values(words: Words) -> NDArray[np.float64]:
    half = len(words) // 2
    negative = words[half:] >= np.uint64(2**63)
    size = np.where(np.tile(negative, 2), negative_words(words, 0), words).astype(np.float64)
    values = (size[half:] * _WORD + size[:half]) / 2.0**WIDE_FRACTION_BITS
    return np.where(negative, -values, values)


def _finite(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise FederationError(f"{name} holds NaN or infinity, so it cannot be added")
    return values


def _refuse_large(
    name: str, values: NDArray[Any], most: float, shown: float, num_clients: int
) -> None:
    if len(values) and (values.max() > most or values.min() < -most):
        raise FederationError(
            f"a value of {name} lies beyond {shown:.3g}: {num_clients} such values could overflow",
            next_step="check the column's units, and rows with absurd values",
        )
