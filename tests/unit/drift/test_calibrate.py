"""The promise is kept where nothing drifts, and power is what is stated."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fedchurn.contract.columns import Columns
from fedchurn.drift.check import EarlierWindow, check_rows
from fedchurn.drift.promise.calibrate import Promise, calibrate
from fedchurn.drift.promise.calibration import Calibration, read_calibration
from fedchurn.drift.promise.resampling import ColumnNull
from fedchurn.drift.reference import DriftReference
from fedchurn.drift.verdict import Verdict
from tests.unit.drift.references import reference, rows

TENURE, DEVICE = [0.4, 0.3, 0.2, 0.1], [0.6, 0.3, 0.1]
NUM_REFERENCE = 4000
# One alarm in ten checks is promised: often enough to be counted.
PROMISE = Promise(
    false_alarms_per_year=36.525, checks_per_day=1, window_rows=(60, 200), num_resampled=2000
)


def _known() -> DriftReference:
    tenure = {value: NUM_REFERENCE * share for value, share in enumerate(TENURE)}
    return reference(tenure, [NUM_REFERENCE * share for share in DEVICE])


@cache
def _calibrated() -> DriftReference:
    return replace(_known(), calibration=calibrate(_known(), PROMISE))


def _window(generator: np.random.Generator, num_rows: int, more: float = 0.0) -> Columns:
    device = [DEVICE[0] - more, DEVICE[1] + more, DEVICE[2]]
    return rows(
        generator.choice(4, size=num_rows, p=TENURE).tolist(),
        generator.choice(3, size=num_rows, p=device).tolist(),
    )


def _calibration() -> Calibration:
    found = _calibrated().calibration
    assert found is not None
    return found


def test_the_stated_rate_is_within_the_promise_and_uses_it() -> None:
    for window in _calibration().windows:
        assert 0.2 * PROMISE.false_alarms_per_year < window.false_alarms_per_year
        assert window.false_alarms_per_year <= PROMISE.false_alarms_per_year
        assert window.level <= window.warning_level
        assert 0 < window.warning_fraction < 0.5


def test_streams_without_drift_keep_the_promise() -> None:
    generator = np.random.default_rng(5)
    known, earlier, num_alarms, num_checks = _calibrated(), [], 0, 500
    for _ in range(num_checks):
        window = _window(generator, 60)
        found = check_rows(known, window, earlier=earlier)
        num_alarms += found.verdict is Verdict.DRIFT
        earlier.append(EarlierWindow(found.flagged, 60, known.histograms_of(window)))
    # 50 are promised at most; three standard deviations are 20. Some come, or nothing is tested.
    assert 3 <= num_alarms <= 70


def test_the_smallest_shift_is_found_as_often_as_stated() -> None:
    shift = next(s for s in _calibration().nearest(200).smallest_shifts if s.column == "Device")
    assert shift.change == "share"
    assert shift.size is not None
    generator, known, num_found = np.random.default_rng(6), _calibrated(), 0
    for _ in range(60):
        earlier: list[EarlierWindow] = []
        verdicts = []
        for _ in range(3):
            # the share goes to the others in proportion: three quarters to the second label
            window = _window(generator, 200, more=shift.size)
            found = check_rows(known, window, earlier=earlier)
            verdicts.append(found.verdict)
            earlier.append(EarlierWindow(found.flagged, 200, known.histograms_of(window)))
        num_found += Verdict.DRIFT in verdicts
    assert num_found >= 0.7 * 60


def test_power_grows_with_the_window() -> None:
    small, large = _calibration().windows
    for little, much in zip(small.smallest_shifts, large.smallest_shifts, strict=True):
        assert (little.column, little.change) == (much.column, much.change)
        assert little.size is not None
        assert much.size is not None
        assert much.size < little.size


def test_seldom_checks_may_be_looser_than_frequent_ones() -> None:
    seldom = calibrate(_known(), replace(PROMISE, window_rows=(60,), checks_per_day=0.1))
    frequent = calibrate(_known(), replace(PROMISE, window_rows=(60,), checks_per_day=100))
    assert frequent.windows[0].level < seldom.windows[0].level
    assert frequent.windows[0].warning_level < seldom.windows[0].warning_level


def test_without_persistence_one_window_gets_the_whole_promise() -> None:
    alone = calibrate(_known(), replace(PROMISE, num_flagged=1, num_windows=1, window_rows=(60,)))
    per_check = PROMISE.false_alarms_per_year / PROMISE.checks_per_year
    assert alone.windows[0].level == pytest.approx(min(0.01, per_check))


def test_it_is_deterministic_and_survives_json() -> None:
    again = calibrate(_known(), PROMISE)
    assert again == _calibration()
    assert read_calibration(json.loads(json.dumps(again.to_dict()))) == again
    assert read_calibration(None) is None


def test_between_two_sizes_the_stricter_threshold_holds() -> None:
    found = _calibration()
    small, large = found.windows
    mixed = replace(found, windows=(replace(small, warning_level=0.5), large))
    assert mixed.rule(10).warning_level == 0.5
    assert mixed.rule(100).warning_level == large.warning_level == mixed.rule(5000).warning_level
    assert mixed.rule(100).name == "calibrated"
    assert mixed.nearest(61) == mixed.windows[0]


def test_ties_count_half_as_they_do_in_a_check() -> None:
    column = _known().columns[0]
    largest = np.array([0.0, 2.0, 0.0, 0.0])
    null = ColumnNull(column, np.zeros(1, dtype=np.intp), np.array([9.0, 0.0]), largest)
    assert null.p_values.tolist() == [0.625, 0.125, 0.625, 0.625]
