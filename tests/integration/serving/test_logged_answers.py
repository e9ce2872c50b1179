"""From answer to log to label to performance to replay, with real releases and no server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fedchurn.release.write import write_release
from fedchurn.serving.answering import Answering, Question
from fedchurn.serving.feedback.performance import performance
from fedchurn.serving.feedback.store import FeedbackReceipt, FeedbackStore
from fedchurn.serving.live import Live, Serving
from fedchurn.serving.log.log_reader import newest, read_predictions
from fedchurn.serving.log.prediction_log import PredictionLog
from fedchurn.serving.log.replay import Replay
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.recorder import Recorder
from fedchurn.serving.records import CHALLENGER, Answer
from fedchurn.serving.served_release import ServedRelease, serve_release
from tests.unit.release.releases import CONTRACT, parts

ROWS = [
    {"Tenure": tenure, "Cashback": 10.0 * tenure, "Device": device, "City": f"City {tenure}"}
    for tenure in range(0, 60, 3)
    for device in ("Phone", "Computer", "Television")  # the last one is unknown: a warning
]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServedRelease, ServedRelease]:
    home = tmp_path_factory.mktemp("releases")
    champion = serve_release(write_release(parts(), home), "1")
    return champion, serve_release(write_release(parts(seed=11), home), "2", role=CHALLENGER)


def answers(folder: Path, live: Live) -> list[Answer]:
    recorder = Recorder([PredictionLog(folder)])
    answering = Answering(live, recorder, PredictionIds())
    given = answering.many(ROWS, Question("/predict/batch", time.perf_counter()))
    recorder.stop()
    assert all(isinstance(one, Answer) for one in given)
    return [one for one in given if isinstance(one, Answer)]


def test_what_was_answered_is_logged_and_proven(
    tmp_path: Path, releases: tuple[ServedRelease, ServedRelease]
) -> None:
    champion, challenger = releases
    given = answers(tmp_path, Live(Serving(champion)))
    logged = newest(tmp_path, 1000)
    assert [(p.prediction_id, p.probability) for p in logged] == [
        (one.record.prediction_id, one.record.probability) for one in given
    ]
    assert [p.warnings for p in logged] == [one.record.warnings for one in given]
    assert {p.warnings for p in logged} >= {(("Device", "unknown_category"),)}
    for served, num_same in ((champion, len(ROWS)), (challenger, 0)):
        replay = Replay(served)
        list(replay.rows(read_predictions(tmp_path)))
        assert replay.report().num_rows == len(ROWS)
        assert replay.report().num_same_release == num_same
        assert replay.report().num_not_same == 0


def test_what_a_fallback_answered_is_proven_too(
    tmp_path: Path, releases: tuple[ServedRelease, ServedRelease]
) -> None:
    champion, _ = releases
    answers(tmp_path, Live(Serving(champion, champion_fault="golden_rows")))
    assert {p.model_used for p in newest(tmp_path, 1000)} == {"fallback_model"}
    replay = Replay(champion)
    list(replay.rows(read_predictions(tmp_path)))
    assert (replay.report().num_same_release, replay.report().num_not_same) == (len(ROWS), 0)


def test_labels_tell_how_good_the_answers_were(
    tmp_path: Path, releases: tuple[ServedRelease, ServedRelease]
) -> None:
    given = answers(tmp_path / "predictions", Live(Serving(releases[0])))
    store = FeedbackStore(tmp_path / "feedback", tmp_path / "predictions")
    for one in given:
        truth = one.record.prediction if one.record.values[0] != 0 else 1 - one.record.prediction
        receipt = store.add(CONTRACT, label=truth, prediction_id=one.record.prediction_id)
        assert isinstance(receipt, FeedbackReceipt)
        assert receipt.predicted == one.record.prediction
    store.close()
    found = performance(tmp_path / "predictions", tmp_path / "feedback")
    assert found.recent_predictions == found.labelled.num_labelled == len(ROWS)
    assert found.labelled.accuracy == pytest.approx(1 - 3 / len(ROWS))
