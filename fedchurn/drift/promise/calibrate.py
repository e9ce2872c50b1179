"""Thresholds that keep a promise: at most x false alarms a year at a schedule.

A quarter of the promise goes to single windows and a quarter to the last windows together:
Benjamini-Hochberg holds both below their level by itself, so nothing needs to be learned. The other
half goes to persistence. Windows share no rows,
so without drift they are independent, and a column that is flagged with chance q is called drift
with chance q P(Binomial(n - 1, q) >= k - 1). The flagging level is the largest at which these
chances, counted on resampled windows and added over columns, stay within the half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.comparing.adjustment import benjamini_hochberg_rows
from fedchurn.drift.promise.calibration import CalibratedWindow, Calibration
from fedchurn.drift.promise.persistence import chance_of_alarm
from fedchurn.drift.promise.power import smallest_shifts
from fedchurn.drift.promise.resampling import resample
from fedchurn.drift.reference import DriftReference

FloatArray = NDArray[np.float64]

DAYS_PER_YEAR = 365.25
MAX_LEVEL = 0.01  # of one window, however seldom checks are made
MAX_WARNING_LEVEL = 0.2
_LEVELS = np.geomspace(MAX_WARNING_LEVEL, 0.001, 41)


@dataclass(frozen=True)
class Promise:
    """What is promised about false alarms.

    Attributes:
        false_alarms_per_year: that may come in a year without drift.
        checks_per_day: schedule of the checks.
        window_rows: sizes of windows, in customers, to learn thresholds for.
        num_flagged, num_windows: persistence, as in ``DriftRule``.
        min_rows: as in ``DriftRule``.
        power: with which the smallest shifts are found (0-1).
        num_resampled: windows to learn from, per size.
        seed: of all draws.
    """

    false_alarms_per_year: float = 1.0
    checks_per_day: float = 24.0
    window_rows: tuple[int, ...] = (50, 200, 1000)
    num_flagged: int = 2
    num_windows: int = 3
    min_rows: int = 50
    power: float = 0.8
    num_resampled: int = 4000
    seed: int = 0

    @property
    def checks_per_year(self) -> float:
        return self.checks_per_day * DAYS_PER_YEAR


def calibrate(reference: DriftReference, promise: Promise) -> Calibration:
    """Learn the thresholds of a release; deterministic.

    Args:
        reference: of the release, with its dependence.
        promise: what is to be kept.
    """
    return Calibration(
        promised_per_year=promise.false_alarms_per_year,
        checks_per_year=promise.checks_per_year,
        num_flagged=promise.num_flagged,
        num_windows=promise.num_windows,
        min_rows=promise.min_rows,
        power=promise.power,
        num_resampled=promise.num_resampled,
        windows=tuple(_window(reference, promise, rows) for rows in sorted(promise.window_rows)),
    )


def _window(reference: DriftReference, promise: Promise, num_rows: int) -> CalibratedWindow:
    nulls = resample(reference, num_rows, promise.num_resampled, promise.seed)
    adjusted = benjamini_hochberg_rows(np.stack([null.p_values for null in nulls], axis=1))
    per_check = promise.false_alarms_per_year / promise.checks_per_year
    persists = promise.num_windows > 1
    level = min(MAX_LEVEL, per_check / 4 if persists else per_check)
    chances = [_persistent(adjusted, one, promise) for one in _LEVELS]
    warning_level = _warning_level(chances, per_check / 2) if persists else min(1.0, 5 * level)
    flagged = adjusted <= warning_level
    lasting = _persistent(adjusted, warning_level, promise) if persists else 0.0
    return CalibratedWindow(
        num_rows=num_rows,
        level=level,
        warning_level=max(warning_level, level),
        warning_fraction=float(flagged.any(axis=1).mean()),
        false_alarms_per_year=((1 + persists) * level + lasting) * promise.checks_per_year,
        smallest_shifts=smallest_shifts(nulls, promise, num_rows, warning_level),
    )


def _persistent(adjusted: FloatArray, level: float, promise: Promise) -> float:
    """Chance that a check without drift finds persistence in some column, at most."""
    chances = (adjusted <= level).mean(axis=0)
    return float(chance_of_alarm(chances, promise.num_flagged, promise.num_windows).sum())


def _warning_level(chances: Sequence[float], limit: float) -> float:
    """The largest level within the limit; below the levels tried, alarms go as its k-th power."""
    for level, chance in zip(_LEVELS, chances, strict=True):
        if chance <= limit:
            return float(level)
    return float(_LEVELS[-1])
