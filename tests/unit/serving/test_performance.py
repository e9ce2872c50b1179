"""Performance: figures that can be worked out by hand, and None with a reason otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.serving.feedback.performance import performance
from fedchurn.serving.feedback.performance_metrics import labelled_metrics, roc_auc
from fedchurn.serving.feedback.store import FeedbackStore
from tests.unit.release.releases import CONTRACT
from tests.unit.serving.logged import START_SECONDS, log, record, served

MARK = "00112233445566778899"
# Probability, decision, label.
FOUR = ((0.9, 1, 1), (0.6, 1, 0), (0.4, 0, 1), (0.1, 0, 0))


def arrays(rows: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probabilities, decisions, labels = np.array(rows, dtype=float).T
    return labels, probabilities, decisions


@pytest.fixture
def answered(tmp_path: Path) -> Path:
    """Four predictions, all of them with feedback."""
    log(
        tmp_path / "predictions",
        [
            record(number, probability=p, prediction=decision, risk_level=band)
            for number, ((p, decision, _), band) in enumerate(
                zip(FOUR, ("High", "Medium", "Low", "Low"), strict=True)
            )
        ],
    )
    store = FeedbackStore(tmp_path / "feedback", tmp_path / "predictions")
    for number, (_, _, label) in enumerate(FOUR):
        store.add(CONTRACT, label=label, prediction_id=f"{MARK}-{number}")
    store.close()
    return tmp_path


def test_metrics_by_hand() -> None:
    found = labelled_metrics(*arrays(FOUR), min_labels=4)
    assert (found.num_labelled, found.num_positive, found.reasons) == (4, 2, {})
    assert (found.accuracy, found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5, 0.5)
    assert found.roc_auc == 0.75
    assert found.brier == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert (found.mean_predicted, found.observed_rate) == (0.5, 0.5)


def test_too_few_labels_tell_nothing_but_why() -> None:
    found = labelled_metrics(*arrays(FOUR), min_labels=5)
    assert found.num_labelled == 4
    assert found.accuracy is found.roc_auc is found.brier is found.observed_rate is None
    assert found.reasons["accuracy"] == "4 labelled predictions; at least 5 are needed"
    assert len(found.reasons) == 8


def test_no_labels_at_all_are_too_few_whatever_is_asked() -> None:
    found = labelled_metrics(*(np.zeros(0) for _ in range(3)), min_labels=0)
    assert found.accuracy is None
    assert "at least 1" in found.reasons["accuracy"]


def test_what_one_class_cannot_tell() -> None:
    found = labelled_metrics(*arrays([(0.1, 0, 0), (0.2, 0, 0)]), min_labels=1)
    assert (found.accuracy, found.observed_rate) == (1.0, 0.0)
    assert found.reasons == {
        "precision": "no churn was predicted",
        "recall": "no label is churn",
        "f1": "churn was neither predicted nor observed",
        "roc_auc": "all 2 labels are no churn",
    }


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=1, max_size=30))
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[int, int]]) -> None:
    churners = [score for label, score in rows if label]
    others = [score for label, score in rows if not label]
    pairs = [(a > b) + 0.5 * (a == b) for a in churners for b in others]
    labels, scores = np.array(rows, dtype=float).T
    expected = pytest.approx(sum(pairs) / len(pairs)) if pairs else None
    assert roc_auc(labels, scores) == expected


def test_a_window(answered: Path) -> None:
    found = performance(answered / "predictions", answered / "feedback", min_labels=4)
    assert found.recent_predictions == 4
    assert found.risk_distribution == {"High": 1, "Medium": 1, "Low": 2}
    assert found.average_confidence == pytest.approx((0.9 + 0.6 + 0.6 + 0.9) / 4)
    assert found.average_probability == pytest.approx(0.5)
    assert found.predicted_churn_rate == 0.5
    assert found.releases == {"shop-1.2.0-0123456789ab": 4}
    assert found.models_used == {"champion": 4}
    assert found.window_start == "2025-10-09T08:53:20.000Z"
    assert found.window_end == "2025-10-09T08:53:20.003Z"
    assert found.feedback == {"read": 4, "unknown": 0, "duplicates": 0, "contradictions": 0}
    assert (found.labelled.num_labelled, found.labelled.accuracy) == (4, 0.5)
    assert json.loads(json.dumps(found.to_dict()))["labelled"]["f1"] == 0.5


def test_labels_count_though_their_predictions_left_the_window(answered: Path) -> None:
    found = performance(answered / "predictions", answered / "feedback", num_rows=1, min_labels=4)
    assert (found.recent_predictions, found.labelled.num_labelled) == (1, 4)


def test_the_window_of_feedback(answered: Path) -> None:
    found = performance(
        answered / "predictions", answered / "feedback", num_feedback=2, min_labels=1
    )
    assert (found.labelled.num_labelled, found.labelled.accuracy) == (2, 0.5)


def test_one_release(answered: Path) -> None:
    log(answered / "predictions", [record(9, served=served(release_id="shop-2"))])
    folders = (answered / "predictions", answered / "feedback")
    assert performance(*folders).recent_predictions == 5
    found = performance(*folders, release="shop-2")
    assert (found.recent_predictions, found.labelled.num_labelled) == (1, 0)


def test_labels_count_when_their_predictions_are_old_enough(answered: Path) -> None:
    def look(days: float) -> tuple[int, int]:
        found = performance(
            *(answered / "predictions", answered / "feedback"),
            min_labels=1,
            maturity_days=30.0,
            now_seconds=START_SECONDS + 0.0015 + days * 86_400,
        )
        return found.labelled.num_labelled, found.mature.num_labelled

    assert look(29.0) == (4, 0)
    assert look(30.0) == (4, 2)
    assert look(31.0) == (4, 4)


def test_what_the_runner_found_is_told_as_it_is(tmp_path: Path) -> None:
    folders = (tmp_path / "predictions", tmp_path / "feedback")
    assert performance(*folders).rolling is None
    told = performance(*folders, rolling={"decay": {"verdict": "none"}}).to_dict()
    assert told["rolling"] == {"decay": {"verdict": "none"}}
    assert told["mature"]["reasons"]["accuracy"].startswith("0 labelled predictions")


def test_nothing_yet(tmp_path: Path) -> None:
    found = performance(tmp_path / "none", tmp_path / "none", bands=("Low", "High"))
    assert found.recent_predictions == 0
    assert found.risk_distribution == {"Low": 0, "High": 0}
    assert found.average_confidence is found.window_start is found.labelled.accuracy is None
