"""What labels say, as part of a window's verdict and without any window."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fedchurn.drift.verdict import DriftRule, DriftVerdict, Verdict
from fedchurn.loop.watching.evidence import Evidence
from fedchurn.loop.watching.runner import check_drift
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.places import inbox_folder
from fedchurn.serving.feedback.store import FeedbackStore
from tests.unit.loop.watching.watched_home import WATCHED, WatchedHome

DAY_SECONDS = 86_400.0
HELD_OUT = {"num_rows": 1000, "num_positive": 200, "accuracy": 0.9, "roc_auc": 0.9, "brier": 0.08}


@pytest.fixture
def home(tmp_path: Path) -> WatchedHome:
    home = WatchedHome(tmp_path)
    home.promote(8, metrics=HELD_OUT)
    return home


def _labels(home: WatchedHome, begin: int, num_wrong: int, num_right: int) -> None:
    """Customers of 60 days ago who were called loyal; some of them churned."""
    long_ago = time.time() - 60 * DAY_SECONDS
    numbers = range(begin, begin + num_wrong + num_right)
    taken = home.predictions(numbers, (0, 1), time_seconds=long_ago)
    home.log(taken)
    store = FeedbackStore(home.folder / "service" / "shop" / "feedback", home.log_folder)
    for place, one in enumerate(taken):
        label = int(place < num_wrong)
        store.add(WATCHED, label=label, prediction_id=one.prediction_id)
    store.close()


def _triggers(home: WatchedHome) -> list[Any]:
    return list(TriggerInbox(inbox_folder(home.folder, "shop")).pending())


def test_decay_is_drift_by_labels_with_a_trigger_of_its_own(home: WatchedHome) -> None:
    _labels(home, 0, num_wrong=100, num_right=100)
    found = check_drift(home.settings())
    (window,) = found["windows"]
    assert (found["outcome"], window["verdict"]) == ("drift", "drift")
    assert (window["evidence"], window["drift"]["verdict"]) == (["performance"], "none")
    assert "Accuracy of all clients fell from 0.900 to 0.500" in window["summary"]
    (trigger,) = _triggers(home)
    assert (trigger.source, trigger.release_id) == ("decay", home.release.name)
    assert trigger.evidence["num_labels"] == 200
    told = json.loads((home.folder / "service" / "shop" / "performance.json").read_text())
    assert told["decay"]["verdict"] == "decay"
    assert home.told["drift_detected"] is False  # of columns
    assert home.told["overall"] == "drift"
    report = Path(window["report_path"]).read_text()
    assert "Labels that came back: accuracy of all clients fell" in report


def test_decay_is_told_without_a_window_and_asks_again_only_with_more_labels(
    home: WatchedHome,
) -> None:
    _labels(home, 0, num_wrong=100, num_right=100)
    check_drift(home.settings())
    again = check_drift(home.settings())
    assert (again["outcome"], again["windows"]) == ("drift", [])
    assert "fell from 0.900 to 0.500" in again["summary"]
    assert len(_triggers(home)) == 1
    _labels(home, 1000, num_wrong=10, num_right=10)
    check_drift(home.settings())
    assert len(_triggers(home)) == 2


def test_good_labels_are_no_decay(home: WatchedHome) -> None:
    home.promote(9, metrics={**HELD_OUT, "roc_auc": 0.5, "brier": 0.11})  # all scores are alike
    _labels(home, 0, num_wrong=20, num_right=180)
    found = check_drift(home.settings())
    assert (found["outcome"], found["decay"]["metrics"][0]["verdict"]) == ("none", "none")
    assert _triggers(home) == []


def test_what_speaks_beside_columns_is_a_warning_at_most() -> None:
    quiet = DriftVerdict(Verdict.NONE, 1000, 100, DriftRule())
    warned = Evidence(quiet, estimated={"verdict": "warning"})
    assert (warned.verdict, warned.kinds) == (Verdict.WARNING, ("performance",))
    assert Evidence(quiet).verdict is Verdict.NONE
    few = DriftVerdict(Verdict.TOO_FEW_ROWS, 1000, 3, DriftRule())
    assert Evidence(few, by_labels={"decay": {"verdict": "decay"}}).verdict is Verdict.TOO_FEW_ROWS
