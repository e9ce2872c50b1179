"""Verdicts: none without drift, at the promised rate; drift where there is some; the evidence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fedchurn.contract.columns import Columns
from fedchurn.drift.check import EarlierWindow, _grouped, check_rows
from fedchurn.drift.documented_fields import documented_fields
from fedchurn.drift.histogram import (
    Histogram,
    add_histograms,
    histograms_from_dict,
    histograms_to_dict,
)
from fedchurn.drift.reference import DriftReference, read_reference
from fedchurn.drift.verdict import ColumnDrift, ColumnTest, DriftRule, DriftVerdict, Verdict
from tests.unit.drift.references import CONTRACT, reference, rows, stored

EVEN = {0: 250.0, 1: 250.0, 2: 250.0, 3: 250.0}
DEVICES = [600.0, 300.0, 100.0]


def _drawn(
    generator: np.random.Generator, num_rows: int, tenure: list[float], device: list[float]
) -> Columns:
    return rows(
        generator.choice(4, size=num_rows, p=tenure).tolist(),
        generator.choice(3, size=num_rows, p=device).tolist(),
    )


def _by_name(found: DriftVerdict) -> dict[str, ColumnDrift]:
    return {column.column: column for column in found.columns}


def test_the_same_shares_are_no_drift() -> None:
    window = rows([0, 1, 2, 3] * 25, [0] * 60 + [1] * 30 + [2] * 10)
    found = check_rows(reference(EVEN, DEVICES), window)
    assert found.verdict is Verdict.NONE
    assert (found.num_reference_rows, found.num_window_rows) == (1000, 100)
    for column in found.columns:
        assert column.effects.distance == column.effects.missing == 0.0
        assert column.adjusted_p_value >= 0.5


def test_a_shift_of_one_column_is_named_with_its_evidence() -> None:
    window = rows([0, 3, 3, 3] * 25, [0] * 60 + [1] * 30 + [2] * 10)
    found = check_rows(reference(EVEN, DEVICES), window)
    assert found.verdict is Verdict.DRIFT
    assert [column.column for column in found.drifted] == ["Tenure"]
    tenure = _by_name(found)["Tenure"]
    assert tenure.statistic == tenure.effects.distance == pytest.approx(0.5)  # 1/4 against 3/4 at 2
    assert tenure.p_value <= tenure.adjusted_p_value <= found.rule.level
    assert _by_name(found)["Device"].verdict is Verdict.NONE


def test_missing_values_are_drift_of_their_own() -> None:
    window = rows([0, 1, 2, 3, None] * 20, [0] * 60 + [1] * 30 + [2] * 10)
    tenure = _by_name(check_rows(reference(EVEN, DEVICES), window))["Tenure"]
    assert tenure.verdict is Verdict.DRIFT
    assert tenure.strongest == "missing"
    assert tenure.effects.distance == pytest.approx(0.0)
    assert tenure.effects.missing == pytest.approx(0.2)
    assert tenure.score == pytest.approx(0.2)


def test_values_that_came_back_are_drift_too() -> None:
    full_of_gaps = reference(EVEN, DEVICES, tenure_missing=300)
    window = rows([0, 1, 2, 3] * 25, [0] * 60 + [1] * 30 + [2] * 10)
    tenure = _by_name(check_rows(full_of_gaps, window))["Tenure"]
    assert tenure.verdict is Verdict.DRIFT
    assert tenure.effects.missing == pytest.approx(-300 / 1300)


def test_a_column_that_lost_all_values_is_drift() -> None:
    window = rows([None] * 100, [0] * 60 + [1] * 30 + [2] * 10)
    tenure = _by_name(check_rows(reference(EVEN, DEVICES), window))["Tenure"]
    assert tenure.verdict is Verdict.DRIFT
    assert tenure.statistic is None


def test_unknown_labels_are_drift() -> None:
    window = rows([0, 1, 2, 3] * 25, [0] * 50 + [1] * 25 + [2] * 10 + [-2] * 15)
    found = _by_name(check_rows(reference(EVEN, DEVICES), window))
    assert found["Device"].verdict is Verdict.DRIFT
    assert found["Tenure"].verdict is Verdict.NONE


def test_a_difference_that_is_certain_but_tiny_is_not_worth_a_word() -> None:
    many = reference(dict.fromkeys(range(4), 250000.0), [600_000.0, 300_000.0, 100_000.0])
    window = rows([0, 1, 2, 3] * 25_000, [0] * 61_500 + [1] * 28_500 + [2] * 10_000)
    device = _by_name(check_rows(many, window))["Device"]
    assert device.adjusted_p_value < 0.01
    assert device.effects.distance == pytest.approx(0.015)
    assert device.verdict is Verdict.NONE


def test_below_thirty_rows_there_is_no_verdict() -> None:
    for num_rows, verdict in ((0, Verdict.TOO_FEW_ROWS), (29, Verdict.TOO_FEW_ROWS)):
        found = check_rows(reference(EVEN, DEVICES), rows([3] * num_rows, [2] * num_rows))
        assert (found.verdict, found.columns) == (verdict, ())
    assert check_rows(reference(EVEN, DEVICES), rows([3] * 30, [2] * 30)).verdict is Verdict.DRIFT


def test_columns_that_were_not_kept_are_left_out_and_named() -> None:
    window = rows([None] * 100, [0] * 60 + [1] * 30 + [2] * 10)
    found = check_rows(reference(EVEN, DEVICES), window, left_out=["Tenure"])
    assert found.verdict is Verdict.NONE
    assert found.left_out == ("Tenure",)
    assert [column.column for column in found.columns] == ["Device"]


def test_the_same_window_gets_the_same_verdict() -> None:
    window = _drawn(np.random.default_rng(3), 80, [0.2, 0.2, 0.3, 0.3], [0.5, 0.3, 0.2])
    known = reference(EVEN, DEVICES)
    assert check_rows(known, window) == check_rows(known, window)


def _false_alarms(level: float, num_rows: int, num_reference: int, num_checks: int) -> int:
    """Checks that find something, where window and reference come from the same customers."""
    generator = np.random.default_rng(20_261_120)
    tenure, device = [0.4, 0.3, 0.2, 0.1], [0.6, 0.35, 0.05]
    rule = DriftRule(level=level, min_effect=0.0, min_missing_effect=0.0)
    num_found = 0
    for _ in range(num_checks):
        counts = generator.multinomial(num_reference, tenure)
        devices = generator.multinomial(num_reference, device).astype(float).tolist()
        known: DriftReference = reference(dict(enumerate(counts.astype(float))), devices)
        window = _drawn(generator, num_rows, tenure, device)
        num_found += check_rows(known, window, rule).verdict is Verdict.DRIFT
    return num_found


@pytest.mark.parametrize(("num_rows", "num_reference"), [(40, 2000), (500, 500), (2000, 400)])
def test_false_alarms_stay_at_the_level_also_against_a_small_reference(
    num_rows: int, num_reference: int
) -> None:
    num_checks = 600
    found = _false_alarms(0.05, num_rows, num_reference, num_checks)
    # 30 are promised; three standard deviations are 16. Without any, nothing would be tested.
    assert 5 <= found <= 46


def _alarms_against_copies(num_effective_rows: float | None) -> int:
    """Of 200 checks; the reference holds 100 customers, each of them four times."""
    generator = np.random.default_rng(17)
    num_found = 0
    for _ in range(200):
        counts = 4 * generator.multinomial(100, [0.4, 0.3, 0.2, 0.1])
        content = stored(dict(enumerate(counts.tolist())), [400.0, 0.0, 0.0])
        if num_effective_rows is not None:
            content["pooled"]["num_effective_rows"] = num_effective_rows
        window = _drawn(generator, 500, [0.4, 0.3, 0.2, 0.1], [1.0, 0.0, 0.0])
        rule = DriftRule(level=0.05, min_effect=0.0)
        found = check_rows(read_reference(content, CONTRACT), window, rule)
        num_found += found.verdict is Verdict.DRIFT
    return num_found


def test_copies_in_the_reference_cost_false_alarms_unless_it_says_what_they_are_worth() -> None:
    assert _alarms_against_copies(100.0) <= 20  # 10 are promised
    assert _alarms_against_copies(None) > 20


def test_power_is_stated_by_example() -> None:
    """One category from 10 to 20 percent: found in most windows of 200 rows."""
    generator = np.random.default_rng(5)
    known = reference(dict.fromkeys(range(4), 1000.0), [2400.0, 1200.0, 400.0])
    found = [
        check_rows(known, _drawn(generator, 200, [0.25] * 4, [0.55, 0.25, 0.2])).drifted
        for _ in range(50)
    ]
    assert sum([c.column for c in drifted] == ["Device"] for drifted in found) >= 40


def test_the_documented_fields() -> None:
    window = rows([0, 3, 3, 3] * 25, [0] * 60 + [1] * 30 + [2] * 10)
    told = json.loads(json.dumps(documented_fields(check_rows(reference(EVEN, DEVICES), window))))
    assert told["drift_detected"] is True
    assert told["drift_scores"] == pytest.approx({"Tenure": 0.5, "Device": 0.0})
    assert list(told["features_with_drift"]) == ["Tenure"]
    evidence = told["features_with_drift"]["Tenure"]
    assert evidence["ks_statistic"] == pytest.approx(0.5)
    assert 0 < evidence["p_value"] <= 0.01
    assert told["total_features_checked"] == 2
    assert told["reference_samples"] == 1000
    assert told["monitoring_samples"] == 100
    assert told["verdict"]["verdict"] == "drift"
    assert told["verdict"]["columns"][0]["test"] == "ks"


STILL = rows([0, 1, 2, 3] * 25, [0] * 60 + [1] * 30 + [2] * 10)


def _earlier(window: Columns, *flagged: str) -> EarlierWindow:
    return EarlierWindow(flagged, 100, reference(EVEN, DEVICES).histograms_of(window))


def test_a_column_that_was_flagged_before_is_drift_when_it_is_flagged_again() -> None:
    rule = DriftRule(level=0.0)
    window = rows([0, 3, 3, 3] * 25, [0] * 60 + [1] * 30 + [2] * 10)
    known = reference(EVEN, DEVICES)
    once = _by_name(check_rows(known, window, rule))["Tenure"]
    assert (once.verdict, once.flagged, once.num_flagged) == (Verdict.WARNING, True, 1)
    still, flagged = _earlier(STILL), _earlier(STILL, "Tenure")
    again = _by_name(check_rows(known, window, rule, earlier=[flagged, still]))["Tenure"]
    assert (again.verdict, again.because, again.num_flagged) == (Verdict.DRIFT, ("k_of_n",), 2)
    long_ago = _by_name(check_rows(known, window, rule, earlier=[flagged, still, still]))["Tenure"]
    assert long_ago.verdict is Verdict.WARNING
    other = _by_name(check_rows(known, window, rule, earlier=[_earlier(STILL, "Device")]))["Tenure"]
    assert other.verdict is Verdict.WARNING


def test_slow_drift_adds_up_in_the_last_windows_together() -> None:
    known, rule = reference(EVEN, DEVICES), DriftRule(level=0.01, warning_level=0.01)
    window = rows(([0] * 13 + [1] * 29 + [2] * 29 + [3] * 29), [0] * 60 + [1] * 30 + [2] * 10)
    alone = check_rows(known, window, rule)
    assert alone.verdict is Verdict.NONE
    assert _by_name(alone)["Tenure"].together_p_value is None
    found = check_rows(known, window, rule, earlier=[_earlier(window), _earlier(window)])
    tenure = _by_name(found)["Tenure"]
    assert (tenure.verdict, tenure.because) == (Verdict.DRIFT, ("together",))
    assert not tenure.flagged
    assert tenure.together_p_value is not None
    assert tenure.together_p_value < tenure.adjusted_p_value


def test_a_calm_window_after_a_landslide_is_no_drift() -> None:
    known, landslide = reference(EVEN, DEVICES), rows([3] * 100, [0] * 60 + [1] * 30 + [2] * 10)
    found = _by_name(check_rows(known, STILL, earlier=[_earlier(landslide)]))["Tenure"]
    assert found.together_p_value is not None
    assert found.together_p_value < 1e-3
    assert (found.verdict, found.because) == (Verdict.NONE, ())


def test_a_window_of_the_past_that_drifted_does_not_alarm_by_flags_alone() -> None:
    known = reference(EVEN, DEVICES)
    flags = [_earlier(STILL, "Tenure"), _earlier(STILL, "Tenure")]
    assert check_rows(known, STILL, earlier=flags).verdict is Verdict.NONE


def test_histograms_survive_json() -> None:
    window = reference(EVEN, DEVICES).histograms_of(STILL)
    again = histograms_from_dict(json.loads(json.dumps(histograms_to_dict(window))))
    assert {n: h.with_missing().tolist() for n, h in again.items()} == {
        n: h.with_missing().tolist() for n, h in window.items()
    }


def test_parts_of_a_window_add_up() -> None:
    known = reference(EVEN, DEVICES)
    halves = [{n: v[:40] for n, v in STILL.items()}, {n: v[40:] for n, v in STILL.items()}]
    added = add_histograms([known.histograms_of(half) for half in halves])
    whole = known.histograms_of(STILL)
    for name, one in whole.items():
        assert added[name].with_missing().tolist() == one.with_missing().tolist()
    assert add_histograms([whole, {"Tenure": whole["Tenure"]}]).keys() == {"Tenure"}


def test_what_clients_held_back_below_k_is_no_drift() -> None:
    # 1.2 % of a thousand rows may have stood at 3: each of three clients held back up to four
    content = stored({0: 300.0, 1: 300.0, 2: 400.0}, DEVICES)
    content["clients"] = dict.fromkeys("abc", content["pooled"])
    window = rows([0] * 60 + [1] * 60 + [2] * 76 + [3] * 4, [0] * 120 + [1] * 60 + [2] * 20)
    told = _by_name(check_rows(read_reference(content, CONTRACT), window))["Tenure"]
    assert told.adjusted_p_value < 0.02
    held_back = read_reference({**content, "min_cell_rows": 5}, CONTRACT)
    found = _by_name(check_rows(held_back, window))["Tenure"]
    assert found.adjusted_p_value > 0.1
    assert found.effects == told.effects


def test_small_labels_are_pooled_alike_in_every_deal_of_the_same_rows() -> None:
    cells, num_missing = np.array([540.0, 400.0, 60.0]), 100.0
    pooled = []
    for present, missing in (([54.0, 40.0, 6.0], 0.0), ([27.0, 20.0, 3.0], 50.0)):
        window = Histogram(np.array(present), missing)
        others = Histogram(cells - window.cells, num_missing - missing)
        ours, both = _grouped(window, others, ColumnTest.CHI_SQUARED)
        assert ours.sum() == 100
        pooled.append(both.tolist())
    assert pooled[0] == pooled[1]
