"""The rule ``online``: what a reference system does, by its own figures; kept for comparison.

Its reference are the first 100 customers and its window the last 50; every number column gets a
Kolmogorov-Smirnov test, and any p-value below 0.05 is drift. Nothing is adjusted for the number of
columns: on the real e-commerce file, with its 13 columns and its copies of customers, 39 % of
checks alarm although nothing has drifted.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.comparing.deals import bounded
from fedchurn.drift.comparing.effects import effects_between
from fedchurn.drift.histogram import Histogram, whole_numbers
from fedchurn.drift.reference import DriftReference, ReferenceColumn
from fedchurn.drift.verdict import (
    ColumnDrift,
    ColumnTest,
    DriftRule,
    DriftVerdict,
    Subject,
    Verdict,
)

REFERENCE_ROWS = 100
WINDOW_ROWS = 50
MIN_ROWS = 30
LEVEL = 0.05

ONLINE = DriftRule(
    level=LEVEL,
    warning_level=LEVEL,
    num_flagged=1,
    num_windows=1,
    min_effect=0.0,
    min_missing_effect=0.0,
    min_rows=MIN_ROWS,
    max_deals=0,
    name="online",
)


def check_online(
    reference: DriftReference, window: Mapping[str, Histogram], num_rows: int
) -> DriftVerdict:
    """Compare a window with 100 customers of the reference, the same ones every time.

    Args:
        reference: of the release that answers.
        window: histogram per column, over the reference's cells; of ``WINDOW_ROWS`` customers where
            the rule is to behave as it does there.
        num_rows: customers in the window.
    """
    tested = [one for one in reference.columns if _is_number(one) and one.name in window]
    left_out = tuple(one.name for one in reference.columns if one not in tested)
    facts = (min(reference.num_rows, REFERENCE_ROWS), num_rows, ONLINE)
    if num_rows < MIN_ROWS:
        return DriftVerdict(Verdict.TOO_FEW_ROWS, *facts, left_out=left_out)
    columns = tuple(_column(one, window[one.name]) for one in tested)
    drifted = any(one.verdict is Verdict.DRIFT for one in columns)
    return DriftVerdict(Verdict.DRIFT if drifted else Verdict.NONE, *facts, columns, left_out)


def ks_p_value(distance: float, num_window: float, num_reference: float) -> float:
    """Chance of a distance at least as large without drift, for many rows (Kolmogorov 1933).

    >>> round(ks_p_value(0.2355, 50, 100), 3)
    0.05
    """
    if not num_window or not num_reference:
        return 1.0
    scaled = distance * math.sqrt(num_window * num_reference / (num_window + num_reference))
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * sum(terms))) if scaled > _SMALL else 1.0


_SMALL = 0.2  # below, the series does not converge in 100 terms, and p is 1 to 12 digits


def _is_number(one: ReferenceColumn) -> bool:
    return one.subject is Subject.COVARIATE and one.test is ColumnTest.KS


def _column(one: ReferenceColumn, window: Histogram) -> ColumnDrift:
    first = Histogram(_first_rows(one), 0.0)
    effects = effects_between(window, first, one.test, one.edges)
    p_value = ks_p_value(effects.distance, window.num_present, first.num_present)
    drifted = p_value < LEVEL
    return ColumnDrift(
        column=one.name,
        subject=one.subject,
        verdict=Verdict.DRIFT if drifted else Verdict.NONE,
        flagged=drifted,
        num_flagged=int(drifted),
        test=one.test,
        statistic=effects.distance,
        strongest="ks",
        effects=effects,
        p_value=p_value,
        adjusted_p_value=p_value,
    )


def _first_rows(one: ReferenceColumn) -> NDArray[np.float64]:
    """``REFERENCE_ROWS`` rows with a value, drawn once and for all from the column's histogram."""
    cells = whole_numbers(bounded(one.histogram.cells)).astype(np.int64)
    if cells.sum() <= REFERENCE_ROWS:
        return cells.astype(np.float64)
    generator = np.random.default_rng(zlib.crc32(one.name.encode()))
    return generator.multivariate_hypergeometric(cells, REFERENCE_ROWS).astype(np.float64)
