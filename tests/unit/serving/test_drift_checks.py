"""Drift of the logged predictions, as the endpoints ask for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedchurn.contract.schema import Contract
from fedchurn.errors import DataError, IntegrityError
from fedchurn.serving.drift_checks import DriftChecks
from fedchurn.serving.drift_file import write_newest
from fedchurn.serving.records import PredictionRecord
from tests.unit.release.releases import CONTRACT
from tests.unit.serving.homes import settings_of
from tests.unit.serving.logged import log, record, served

# The contract of the test releases, with drift tests on two of its columns.
WATCHED = Contract.model_validate(
    {
        **CONTRACT.model_dump(exclude={"columns"}),
        "columns": {
            name: {**column.model_dump(), "drift": test}
            for (name, column), test in zip(
                CONTRACT.columns.items(), ("ks", None, "chi_squared", None), strict=True
            )
        },
    }
)
REFERENCE = {
    "format": 1,
    "edges": {"Tenure": [-0.5, 0.5, 1.5]},
    "pooled": {
        "num_rows": 1000,
        "numbers": {"Tenure": {"missing": 0, "cells": [[1, 500], [2, 500]]}},
        "categories": {"Device": {"cells": [500, 500], "missing": 0, "unknown": 0}},
    },
}


class Series:
    def __init__(self) -> None:
        self.counted: list[str] = []

    def detected(self, columns: Iterable[str]) -> None:
        self.counted += columns


def _served(release_id: str = "shop-1.2.0-0123456789ab", reference: Any = REFERENCE) -> Any:
    return served(WATCHED, release_id=release_id, release=SimpleNamespace(reference=reference))


def _checks(
    home: Path, series: Series | None = None, rule: str = "calibrated", **served_as: Any
) -> DriftChecks:
    live: Any = SimpleNamespace(state=SimpleNamespace(champion=_served(**served_as)))
    return DriftChecks(settings_of(home, drift_rule=rule), live, series or Series())


def _predictions(
    tenures: Sequence[float], *, customer_id: str | None = None
) -> list[PredictionRecord]:
    devices = ("Phone", "Computer")
    return [
        record(
            number,
            served=_served(),
            customer_id=customer_id,
            values=(float(tenure), 160.0, devices[number % 2], "Graz"),
        )
        for number, tenure in enumerate(tenures)
    ]


def _log(home: Path, taken: Sequence[PredictionRecord], **settings: Any) -> None:
    log(settings_of(home).predictions_folder, taken, **settings)


def test_a_shift_is_found_shown_and_remembered_for_other_workers(tmp_path: Path) -> None:
    _log(tmp_path, _predictions([1] * 90 + [0] * 10))
    series = Series()
    told = _checks(tmp_path, series).check()
    assert json.loads(json.dumps(told)) == told | {
        "verdict": json.loads(json.dumps(told["verdict"]))
    }
    assert told["drift_detected"] is True
    assert list(told["features_with_drift"]) == ["Tenure"]
    assert told["analyzed_samples"] == 100
    assert told["drift_scores"] == {"Tenure": pytest.approx(0.4), "Device": 0.0}
    assert series.counted == ["Tenure"]
    status = _checks(tmp_path).status()
    assert status["drift_detected"] is True
    assert status["features_with_drift"] == ["Tenure"]
    assert status["last_check"] == told["timestamp"]
    assert status["verdict"]["verdict"] == "drift"
    assert (status["made_by"], status["window_id"]) == ("request", None)
    _log(tmp_path, _predictions([0, 1] * 20))
    later = _checks(tmp_path).status()
    assert (later["monitoring_samples"], later["analyzed_samples"]) == (140, 100)
    assert later["drift_threshold"] == told["drift_threshold"]


def test_before_the_first_check_nothing_is_said(tmp_path: Path) -> None:
    _log(tmp_path, _predictions([0, 1] * 20))
    status = _checks(tmp_path).status()
    assert status["drift_detected"] is None
    assert (status["monitoring_active"], status["reference_samples"]) == (True, 1000)
    assert status["monitoring_samples"] == 40


def test_another_release_is_not_judged_by_the_last_verdict(tmp_path: Path) -> None:
    _log(tmp_path, _predictions([0, 1] * 20))
    _checks(tmp_path).check()
    other = _checks(tmp_path, release_id="shop-1.2.0-ffffffffffff").status()
    assert other["drift_detected"] is None


@pytest.mark.parametrize("num_rows", [0, 29])
def test_too_few_rows_are_an_error_that_says_how_many_are_needed(
    tmp_path: Path, num_rows: int
) -> None:
    _log(tmp_path, _predictions([0] * num_rows))
    with pytest.raises(DataError, match=rf"^{num_rows} customers .*\n.*at least 30"):
        _checks(tmp_path).check()


def test_a_customer_counts_once(tmp_path: Path) -> None:
    _log(tmp_path, _predictions([0] * 100, customer_id="C1"))
    with pytest.raises(DataError, match=r"^1 customers"):
        _checks(tmp_path).check()


def test_masked_columns_are_left_out(tmp_path: Path) -> None:
    _log(tmp_path, _predictions([0] * 100), masked_fields=("Tenure",))
    told = _checks(tmp_path).check()
    assert told["drift_detected"] is False
    assert list(told["verdict"]["left_out"]) == ["Tenure"]


def test_a_release_without_a_reference_is_watched_by_nobody(tmp_path: Path) -> None:
    _log(tmp_path, _predictions([0] * 100))
    checks = _checks(tmp_path, reference={})
    assert checks.status()["monitoring_active"] is False
    with pytest.raises(IntegrityError):
        checks.check()


def test_a_damaged_memory_is_forgotten(tmp_path: Path) -> None:
    _log(tmp_path, _predictions([0, 1] * 20))
    path = settings_of(tmp_path).service_folder / "drift.json"
    for text in ("", "[]", "{"):
        path.write_text(text)
        assert _checks(tmp_path).status()["drift_detected"] is None


def _told_by_the_runner(home: Path, **changes: Any) -> dict[str, Any]:
    """What the drift runner leaves behind."""
    told = {
        "verdict": {"verdict": "drift"},
        "drift_detected": True,
        "drift_scores": {"Tenure": 0.4},
        "features_with_drift": {"Tenure": {}},
        "release": _served().release_id,
        "timestamp": "2026-03-01T12:00:00.000Z",
        "window_id": "0123456789abcdef",
        "made_by": "runner",
        "report_path": "/home/watch/shop/windows/0123456789abcdef/report.html",
        **changes,
    }
    write_newest(settings_of(home).service_folder, told)
    return told


def test_the_runners_verdict_is_told_until_a_newer_one(tmp_path: Path) -> None:
    told = _told_by_the_runner(tmp_path)
    status = _checks(tmp_path).status()
    names = ("verdict", "drift_detected", "window_id", "made_by", "report_path")
    assert {name: status[name] for name in names} == {name: told[name] for name in names}
    _log(tmp_path, _predictions([0, 1] * 20))
    _checks(tmp_path).check()
    assert _checks(tmp_path).status()["made_by"] == "request"
    _told_by_the_runner(tmp_path)  # of an old window, by a runner that was killed meanwhile
    assert _checks(tmp_path).status()["made_by"] == "request"
    _told_by_the_runner(tmp_path, timestamp="2999-01-01T00:00:00.000Z")
    assert _checks(tmp_path).status()["made_by"] == "runner"


def test_scores_are_compared_where_the_release_knows_its_own(tmp_path: Path) -> None:
    own = {"churn_probability": {"cells": [[0, 500], [1, 500]], "num_rows": 1000}}
    reference = {
        **REFERENCE,
        "format": 2,
        "own_edges": {"churn_probability": [0.5]},
        "pooled": {**REFERENCE["pooled"], "own": own},
    }
    taken = [p._replace(probability=0.9) for p in _predictions([0, 1] * 50)]
    by_rules = [
        p._replace(model_used="rules", probability=0.1, customer_id=f"R{number}")
        for number, p in enumerate(_predictions([0, 1] * 50))
    ]
    _log(tmp_path, [*taken[:50], *by_rules, *taken[50:]])  # with them, half would be below 0.5
    told = _checks(tmp_path, reference=reference).check()
    assert list(told["features_with_drift"]) == ["churn_probability"]
    assert told["evidence"] == ["score"]


def test_the_rule_of_reference_systems_looks_at_fifty_customers(tmp_path: Path) -> None:
    _log(tmp_path, _predictions([0, 1] * 30 + [1] * 50))
    checks = _checks(tmp_path, rule="online")
    told = checks.check()
    assert told["analyzed_samples"] == 50
    assert told["verdict"]["rule"]["name"] == "online"
    assert list(told["features_with_drift"]) == ["Tenure"]
    assert checks.status()["drift_threshold"] == 0.05
