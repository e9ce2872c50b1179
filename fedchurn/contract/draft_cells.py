"""What the cells of a column of an unknown table hold; the first step of ``contract draft``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.cells import whole

NULL_TOKENS = frozenset(
    {"?", "-", "NA", "N/A", "n/a", "NULL", "null", "NaN", "nan", "#N/A", "#N/V"}
)

_MAX_STRAY_TEXTS = 3
_MAX_STRAY_FRACTION = 0.05
_MAX_LOOKED_AT = 2000
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}")
_PADDED = re.compile(r"-?0\d+")


@dataclass(frozen=True)
class Cells:
    """A column as texts, each distinct text once.

    Attributes:
        codes: position in ``distinct`` per row, -1 for a missing value; n rows.
        distinct: texts, stripped, whole numbers without ``.0``, in order of appearance.
        blanks: spellings of "missing" made of blanks only, such as one space.
        is_date: whether the column holds dates.
    """

    codes: NDArray[np.intp]
    distinct: tuple[str, ...]
    blanks: tuple[str, ...] = ()
    is_date: bool = False

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows per distinct text, null tokens left out, the most frequent first."""
        found = np.bincount(self.codes + 1, minlength=len(self.distinct) + 1)[1:].tolist()
        pairs = [(t, n) for t, n in zip(self.distinct, found, strict=True) if t not in NULL_TOKENS]
        return dict(sorted(pairs, key=lambda pair: -pair[1]))

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Whether each cell is missing or a null token; n rows."""
        gone = NULL_TOKENS | self.stray_texts
        return np.asarray([*(t in gone for t in self.distinct), True], dtype=bool)[self.codes]

    @cached_property
    def used_tokens(self) -> tuple[str, ...]:
        """Spellings of "missing" that this column uses."""
        found = {t for t in self.distinct if t in NULL_TOKENS} | self.stray_texts
        return (*self.blanks, *sorted(found))

    @cached_property
    def stray_texts(self) -> frozenset[str]:
        """The few texts in an otherwise numeric column; empty if it is no numeric column."""
        strays = {t: n for t, n in self.counts.items() if as_number(t) is None}
        few = len(strays) <= min(_MAX_STRAY_TEXTS, len(self.counts) - len(strays))
        rare = sum(strays.values()) <= _MAX_STRAY_FRACTION * sum(self.counts.values())
        return frozenset(strays) if strays and few and rare else frozenset()

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Distinct texts without null tokens and strays, the most frequent first."""
        return tuple(t for t in self.counts if t not in self.stray_texts)

    @cached_property
    def is_number(self) -> bool:
        return bool(self.labels) and all(as_number(t) is not None for t in self.labels)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The numbers, NaN where missing; n rows. Only for ``is_number``."""
        found = [as_number(t) for t in self.distinct]
        values = [math.nan if v is None else v for v in found]
        return np.asarray([*values, math.nan], dtype=np.float64)[self.codes]

    @cached_property
    def is_whole(self) -> bool:
        return self.is_number and all(float(t).is_integer() for t in self.labels)

    def holds(self, text: str) -> NDArray[np.bool_]:
        """Whether each cell is ``text``; n rows."""
        place = self.distinct.index(text) if text in self.distinct else len(self.distinct)
        return np.asarray(self.codes == place, dtype=bool)


def read_cells(series: pd.Series[Any]) -> Cells:
    """The cells of ``series``, whatever its type."""
    codes, found = pd.factorize(_comparable(series))
    raw = [str(value) for value in found]
    meanings = [whole(text.strip()) for text in raw]
    distinct = {text: place for place, text in enumerate(dict.fromkeys(m for m in meanings if m))}
    places = np.asarray([*(distinct.get(m, -1) for m in meanings), -1], dtype=np.intp)[codes]
    blanks = sorted(text for text in raw if text and not text.strip())
    is_date = pd.api.types.is_datetime64_any_dtype(series.dtype) or _looks_like_dates(distinct)
    return Cells(places, tuple(distinct), tuple(blanks[:_MAX_STRAY_TEXTS]), is_date)


def _comparable(series: pd.Series[Any]) -> Any:
    """Values in which equal means same: in a column of objects True, 1 and 1.0 are equal."""
    if series.dtype != object:
        return series.array
    values = series.to_numpy(dtype=object)
    missing = pd.isna(values)
    pairs = zip(values, missing, strict=True)
    return np.asarray([None if gone else str(value) for value, gone in pairs], dtype=object)


def _looks_like_dates(texts: Iterable[str]) -> bool:
    found = list(islice(texts, _MAX_LOOKED_AT))
    dates = sum(bool(_DATE.match(text)) for text in found)
    return bool(found) and dates >= 0.95 * len(found)


def as_number(text: str) -> float | None:
    """A finite number; None for other texts, and for padded ones such as a postcode 01234."""
    if "_" in text or _PADDED.fullmatch(text):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
