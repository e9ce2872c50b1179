"""The rule of a reference system, by its name and with its faults."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.special import kolmogorov

from fedchurn.drift.histogram import Histogram
from fedchurn.drift.online import REFERENCE_ROWS, WINDOW_ROWS, check_online, ks_p_value
from fedchurn.drift.reference import DriftReference, ReferenceColumn
from fedchurn.drift.verdict import ColumnTest, Subject, Verdict

NUM_CELLS = 64


def _column(
    name: str, test: ColumnTest = ColumnTest.KS, subject: Subject = Subject.COVARIATE
) -> ReferenceColumn:
    cells = Histogram(np.full(NUM_CELLS, 100.0), 0.0)
    edges = np.arange(1.0, NUM_CELLS) if test is ColumnTest.KS else None
    return ReferenceColumn(name, subject, test, edges, cells)


def _reference(columns: Sequence[ReferenceColumn]) -> DriftReference:
    return DriftReference(100 * NUM_CELLS, tuple(columns))


def _drawn(seed: int, low: int = 0) -> Histogram:
    values = np.random.default_rng(seed).integers(low, NUM_CELLS, WINDOW_ROWS)
    return Histogram(np.bincount(values, minlength=NUM_CELLS).astype(np.float64), 0.0)


@pytest.mark.parametrize("distance", [0.0, 0.05, 0.2, 0.2355, 0.6, 1.0])
def test_the_p_value_is_kolmogorovs(distance: float) -> None:
    expected = kolmogorov(distance * np.sqrt(50 * 100 / 150))
    assert ks_p_value(distance, 50, 100) == pytest.approx(expected, abs=1e-12)


def test_a_landslide_is_seen_and_so_is_its_column() -> None:
    reference = _reference([_column("a"), _column("b")])
    found = check_online(reference, {"a": _drawn(1), "b": _drawn(2, low=40)}, WINDOW_ROWS)
    assert (found.verdict, found.rule.name) == (Verdict.DRIFT, "online")
    assert [column.column for column in found.drifted] == ["b"]
    assert found.num_reference_rows == REFERENCE_ROWS


def test_only_numbers_of_the_contract_are_tested() -> None:
    names = {
        "a": _column("a"),
        "label": _column("label", ColumnTest.CHI_SQUARED),
        "churn_probability": _column("churn_probability", subject=Subject.SCORE),
    }
    window = {name: _drawn(3) for name in names}
    found = check_online(_reference(list(names.values())), window, WINDOW_ROWS)
    assert [column.column for column in found.columns] == ["a"]
    assert found.left_out == ("label", "churn_probability")


def test_fewer_than_thirty_rows_get_no_verdict() -> None:
    found = check_online(_reference([_column("a")]), {"a": _drawn(1)}, 29)
    assert (found.verdict, found.columns) == (Verdict.TOO_FEW_ROWS, ())


def test_it_cries_wolf_and_always_in_the_same_way() -> None:
    reference = _reference([_column(f"x{number}") for number in range(13)])

    def alarms() -> list[bool]:
        windows = [
            {one.name: _drawn(13 * check + place) for place, one in enumerate(reference.columns)}
            for check in range(100)
        ]
        return [check_online(reference, w, WINDOW_ROWS).verdict is Verdict.DRIFT for w in windows]

    assert sum(alarms()) > 20  # of 100 in which nothing has drifted
    assert alarms() == alarms()
