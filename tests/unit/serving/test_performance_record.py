"""The record of how good answers were: which labels count, by client, and in money."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedchurn.contract.schema import Contract
from fedchurn.drift.performance.decay import Decay
from fedchurn.errors import ReleaseError
from fedchurn.serving.feedback.performance_file import (
    maturity_days,
    read_performance,
    write_performance,
)
from fedchurn.serving.feedback.performance_record import (
    PerformanceRecord,
    PerformanceRule,
    performance_record,
)
from fedchurn.serving.feedback.store import FeedbackStore
from fedchurn.serving.records import PredictionRecord
from tests.unit.release.releases import card
from tests.unit.serving.logged import START_SECONDS, log, record, served
from tests.unit.serving.test_labelled_rows import MARK, SHOPS

DAY = 86_400.0
RELEASE_ID = "shop-1.2.0-0123456789ab"
FIGURES = {"num_rows": 1000, "num_positive": 300, "accuracy": 0.9, "f1": 0.8, "roc_auc": 0.95}
SCORES = {"edges": [0, 0.5, 1], "negative_rows": [650, 50], "positive_rows": [50, 250]}
TOLD_FROM_ONE = PerformanceRule(min_figure_labels=1)
NOW_DAYS = 100.0


def release(contract: Contract = SHOPS, **changes: Any) -> Any:
    """What the record reads of a release."""
    clients = {"Device=Phone": FIGURES, "Device=Computer": FIGURES}
    facts: dict[str, Any] = {
        "release_id": RELEASE_ID,
        "contract": contract,
        "card": card(metrics=FIGURES, client_metrics=clients, threshold=0.5),
        "reference": {"scores": SCORES},
    }
    return SimpleNamespace(**(facts | changes))


def scored(
    number: int, day: float, probability: float, device: str = "Phone", **changes: Any
) -> PredictionRecord:
    return record(
        number,
        time_seconds=START_SECONDS + day * DAY,
        probability=probability,
        prediction=int(probability >= 0.5),
        values=(12.0, 80.0, device, "Graz"),
        **({"served": served(SHOPS)} | changes),
    )


def labelled(folder: Path, said: Sequence[tuple[int, int]], *, day: float = 95.0) -> None:
    """Labels of predictions, all of one day."""
    store = FeedbackStore(
        folder / "feedback", folder / "predictions", clock=lambda: START_SECONDS + day * DAY
    )
    for number, label in said:
        store.add(SHOPS, label=label, prediction_id=f"{MARK}-{number:x}")
    store.close()


def look(folder: Path, rule: PerformanceRule = TOLD_FROM_ONE, **changes: Any) -> PerformanceRecord:
    return performance_record(
        folder / "predictions",
        folder / "feedback",
        release(**changes),
        now_seconds=START_SECONDS + NOW_DAYS * DAY,
        rule=rule,
    )


@pytest.fixture
def answered(tmp_path: Path) -> Path:
    """Five customers: three mature (two labelled), one labelled too early, one open."""
    rows = [
        scored(1, 10, 0.75),
        scored(2, 10, 0.75, "Computer"),
        scored(3, 10, 0.25),
        scored(4, 90, 0.5),
        scored(5, 90, 0.25),
    ]
    log(tmp_path / "predictions", rows)
    labelled(tmp_path, [(1, 1), (2, 0), (4, 1)])
    return tmp_path


def test_only_mature_labels_count_and_nobody_is_taken_for_loyal(answered: Path) -> None:
    found = look(answered).to_dict()
    assert found["figures"]["num_labelled"] == 2
    assert found["figures"]["accuracy"] == 0.5
    assert found["num_unknown"] == 1
    assert found["label_coverage"] == pytest.approx(2 / 3)
    assert found["feedback"] == {
        **{"read": 3, "unknown": 0, "duplicates": 0, "contradictions": 0, "contradicted": []},
        **{"mature": 2, "immature": 1, "torn": 0},
    }
    assert found["window_end"] == "2025-12-18T08:53:20.000Z"
    assert json.loads(json.dumps(found, allow_nan=False))["release"] == RELEASE_ID


def test_money_by_hand(answered: Path) -> None:
    # 1 churned: 80 lost. 2 was called and stayed: 80 x 0.75. 4 churned early: neither lost yet nor
    # at risk. 5 is open: 80 x 0.25. 3 is not known.
    money = look(answered).to_dict()["revenue"]
    told = {name: money[name] for name in ("revenue_lost", "revenue_saved", "revenue_at_risk")}
    assert told == {"revenue_lost": 80.0, "revenue_saved": 60.0, "revenue_at_risk": 20.0}


def test_clients_are_told_apart_and_add_up(answered: Path) -> None:
    found = look(answered)
    told = found.to_dict()["clients"]
    assert told["Device=Phone"]["figures"]["recall"] == 1.0
    assert told["Device=Phone"]["revenue"]["revenue_lost"] == 80.0
    assert told["Device=Computer"]["figures"]["accuracy"] == 0.0
    assert told["Device=Computer"]["revenue"]["revenue_saved"] == 60.0
    assert sum(one["figures"]["num_labelled"] for one in told.values()) == 2


def test_maturity_is_a_setting(answered: Path) -> None:
    found = look(answered, PerformanceRule(maturity_days=5.0, min_figure_labels=1))
    assert found.to_dict()["figures"]["num_labelled"] == 3
    assert found.to_dict()["revenue"]["revenue_lost"] == 160.0
    old = look(answered, PerformanceRule(window_days=20.0, min_figure_labels=1))
    assert old.to_dict()["figures"]["num_labelled"] == 0


def test_few_labels_are_counted_and_tell_no_figures(answered: Path) -> None:
    found = look(answered, PerformanceRule()).to_dict()
    assert (found["figures"]["num_labelled"], found["figures"]["accuracy"]) == (2, None)
    assert found["reliability"] == []
    assert found["decay"]["verdict"] == "too_few_labels"
    assert found["estimated"]["verdict"] == "too_few_rows"


def test_a_customer_counts_once_with_the_newest(tmp_path: Path) -> None:
    rows = [scored(n, 10 + n, 0.75, customer_id="Ada") for n in range(4)]
    rows += [scored(9, 90, 0.25, customer_id="Ada"), scored(10, 91, 0.5, customer_id="Ada")]
    log(tmp_path / "predictions", rows)
    labelled(tmp_path, [(n, 0) for n in range(3)] + [(3, 1)])
    found = look(tmp_path).to_dict()
    assert (found["figures"]["num_labelled"], found["figures"]["num_positive"]) == (1, 1)
    assert (found["num_unknown"], found["label_coverage"]) == (0, 1.0)
    assert found["revenue"]["revenue_at_risk"] == 40.0


def test_masked_values_make_money_unknown(tmp_path: Path) -> None:
    rows = [scored(1, 10, 0.75), scored(2, 90, 0.75)]
    log(tmp_path / "predictions", rows, masked_fields=("Cashback", "Device"))
    labelled(tmp_path, [(1, 1)])
    found = look(tmp_path).to_dict()
    assert found["revenue"]["revenue_lost"] is found["revenue"]["revenue_at_risk"] is None
    assert found["revenue"]["num_without_value"] == 2
    assert found["figures"]["num_labelled"] == 1
    assert found["clients"] == {}


def test_without_a_value_column_there_is_no_money(answered: Path) -> None:
    plain = SHOPS.model_copy(update={"value_column": None})
    assert look(answered, contract=plain).to_dict()["revenue"]["revenue_lost"] is None


def test_decay_is_about_the_releases_own_answers(tmp_path: Path) -> None:
    wrong = [scored(n, 10, 0.25 + 0.5 * (n % 2)) for n in range(120)]
    others = [scored(n, 10, 0.75, served=served(SHOPS, release_id="old")) for n in range(200, 300)]
    rules = [scored(n, 10, 0.75, model_used="rules") for n in range(300, 400)]
    log(tmp_path / "predictions", [*wrong, *others, *rules])
    labelled(tmp_path, [(n, 1 - n % 2) for n in range(120)] + [(n, 1) for n in range(200, 400)])
    found = look(tmp_path)
    assert found.to_dict()["figures"]["num_labelled"] == 320
    assert (found.decay.num_labels, found.decay.verdict) == (120, Decay.DECAY)
    assert found.decay.decayed_clients == ("Device=Phone",)
    assert found.decay.metrics[0].live == 0.0


def test_open_customers_are_estimated_before_their_labels_come(tmp_path: Path) -> None:
    log(tmp_path / "predictions", [scored(n, 90, 0.75) for n in range(150)])
    found = look(tmp_path).to_dict()["estimated"]
    # All of them stand in the cell in which 250 of 300 churned.
    assert found["num_rows"] == 150
    assert found["metrics"][0]["estimated"] == pytest.approx(250 / 300)
    assert look(tmp_path, reference={}).to_dict()["estimated"] is None


def test_nothing_yet(tmp_path: Path) -> None:
    found = look(tmp_path).to_dict()
    assert found["figures"]["num_labelled"] == 0
    assert found["label_coverage"] is None
    assert found["clients"] == {}


class TestFile:
    def test_what_was_written_is_read(self, answered: Path) -> None:
        found = look(answered)
        write_performance(answered / "service", found)
        told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert read_performance(answered / "service") == told
        assert read_performance(answered / "service", RELEASE_ID) == told
        assert [p.name for p in (answered / "service").iterdir()] == ["performance.json"]

    def test_what_is_no_record_of_this_release_is_none(self, tmp_path: Path) -> None:
        assert read_performance(tmp_path) is None
        for text in ("{", "[]", '{"format": 9, "release": "a"}', '{"release": "a"}'):
            (tmp_path / "performance.json").write_text(text)
            assert read_performance(tmp_path) is None, text
        (tmp_path / "performance.json").write_text('{"format": 1, "release": "a"}')
        assert read_performance(tmp_path, "b") is None

    def test_a_disk_that_refuses_is_named(self, answered: Path) -> None:
        (answered / "place").write_text("")
        with pytest.raises(ReleaseError, match=r"performance\.json"):
            write_performance(answered / "place", look(answered))


def test_the_service_counts_labels_as_the_last_look_did(answered: Path) -> None:
    folder = answered / "service"
    assert maturity_days(folder, None) == 30.0
    write_performance(folder, look(answered, PerformanceRule(maturity_days=5.0)))
    assert maturity_days(folder, None) == 5.0
    assert maturity_days(folder, 0.0) == 0.0
