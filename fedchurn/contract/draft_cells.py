"""What the cells of a column of an unknown table hold; the first step of ``contract draft``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
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
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}")
_PADDED = re.compile(r"-?0\d+")


@dataclass(frozen=True)
class Cells:
    """A column as texts.

    Attributes:
        texts: n texts, stripped, whole numbers without ``.0``; None for a missing value.
        blanks: spellings of "missing" made of blanks only, such as one space.
        is_date: whether the column holds dates.
    """

    texts: NDArray[np.object_]
    blanks: tuple[str, ...] = ()
    is_date: bool = False
    tokens: frozenset[str] = field(default=NULL_TOKENS)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows per distinct text, null tokens left out, the most frequent first."""
        counted = pd.Series(self.texts, dtype=object).value_counts()
        return {str(t): int(n) for t, n in counted.items() if t not in self.tokens}

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Whether each cell is missing or a null token; n rows."""
        gone = self.tokens | self.stray_texts
        return np.asarray([t is None or t in gone for t in self.texts], dtype=bool)

    @cached_property
    def used_tokens(self) -> tuple[str, ...]:
        """Spellings of "missing" that this column uses."""
        found = {t for t in self.texts if t in self.tokens} | self.stray_texts
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
        known = {t: as_number(t) for t in self.labels}
        found = [known.get(t) if t is not None else None for t in self.texts]
        return np.asarray([math.nan if v is None else v for v in found], dtype=np.float64)

    @cached_property
    def is_whole(self) -> bool:
        return self.is_number and all(float(t).is_integer() for t in self.labels)


def read_cells(series: pd.Series[Any]) -> Cells:
    """The cells of ``series``, whatever its type."""
    values = series.to_numpy(dtype=object)
    missing = pd.isna(values)
    raw = [None if gone else str(value) for value, gone in zip(values, missing, strict=True)]
    texts = np.empty(len(raw), dtype=object)
    texts[:] = [None if t is None else whole(t.strip()) or None for t in raw]
    blanks = sorted({t for t in raw if t and not t.strip()})
    is_date = pd.api.types.is_datetime64_any_dtype(series.dtype) or _looks_like_dates(texts)
    return Cells(texts, tuple(blanks[:_MAX_STRAY_TEXTS]), is_date)


def _looks_like_dates(texts: NDArray[np.object_]) -> bool:
    found = [t for t in texts[:2000] if t is not None]
    dates = sum(bool(_DATE.match(t)) for t in found)
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
