"""The promise that a release makes about drift alarms, and what keeps it: records only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fedchurn.drift.verdict import DriftRule


@dataclass(frozen=True)
class SmallestShift:
    """The smallest change of one column that is called drift with the stated power.

    Attributes:
        column: its name.
        change: ``mean`` (all values move up, in standard deviations), ``share`` (the most common
            label loses this share of all rows to the others, 0-1), ``missing`` (rise of the
            missing share, 0-1).
        size: how much, in the measure of ``change``; None when none that was tried is found.
        in_units: the same in the column's unit for ``mean``, else None.
    """

    column: str
    change: str
    size: float | None
    in_units: float | None = None


@dataclass(frozen=True)
class CalibratedWindow:
    """Thresholds for windows of one size.

    Attributes:
        num_rows: customers in the window.
        level: adjusted p-value at which one window alone is drift.
        warning_level: adjusted p-value at which a window is flagged.
        warning_fraction: share of windows without drift that are flagged in some column (0-1).
        false_alarms_per_year: checks called drift in a year without drift, at the schedule.
        smallest_shifts: per column, found within ``num_windows`` windows with ``power``.
    """

    num_rows: int
    level: float
    warning_level: float
    warning_fraction: float
    false_alarms_per_year: float
    smallest_shifts: tuple[SmallestShift, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """Thresholds learned from resampled reference windows.

    Attributes:
        promised_per_year: false alarms that may come in a year.
        checks_per_year: the schedule that the promise is about.
        num_flagged, num_windows: persistence, as in ``DriftRule``.
        min_rows: as in ``DriftRule``.
        power: with which ``smallest_shifts`` are found (0-1).
        num_resampled: windows that each threshold was learned from.
        windows: by size, ascending; at least one.
    """

    promised_per_year: float
    checks_per_year: float
    num_flagged: int
    num_windows: int
    min_rows: int
    power: float
    num_resampled: int
    windows: tuple[CalibratedWindow, ...]

    def nearest(self, num_rows: int) -> CalibratedWindow:
        """What was learned for windows of about ``num_rows`` customers."""
        return min(
            self.windows,
            key=lambda w: max(w.num_rows, num_rows) / min(w.num_rows, max(num_rows, 1)),
        )

    def rule(self, num_rows: int) -> DriftRule:
        """The rule for a window; between two sizes the stricter of both thresholds holds."""
        sizes = [w for w in self.windows if w.num_rows <= num_rows][-1:]
        sizes += [w for w in self.windows if w.num_rows >= num_rows][:1]
        return DriftRule(
            level=min(w.level for w in sizes),
            warning_level=min(w.warning_level for w in sizes),
            num_flagged=self.num_flagged,
            num_windows=self.num_windows,
            min_rows=self.min_rows,
            name="calibrated",
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, as ``reference.json`` holds it."""
        return asdict(self)


def read_calibration(stored: Mapping[str, Any] | None) -> Calibration | None:
    """The record behind ``to_dict``; None for releases without one.

    Raises:
        KeyError, TypeError, ValueError: it is not such a record.
    """
    if stored is None:
        return None
    windows = tuple(_read_window(window) for window in stored["windows"])
    if not windows:
        raise ValueError("calibration without windows")
    return Calibration(**{**stored, "windows": windows})


def _read_window(stored: Mapping[str, Any]) -> CalibratedWindow:
    shifts = tuple(SmallestShift(**shift) for shift in stored["smallest_shifts"])
    return CalibratedWindow(**{**stored, "smallest_shifts": shifts})
