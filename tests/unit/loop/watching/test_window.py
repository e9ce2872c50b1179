"""Windows add up chunk by chunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedchurn.drift.reference import read_reference
from fedchurn.loop.watching import window as module
from fedchurn.loop.watching.window import Window, gather
from fedchurn.serving.log.log_reader import read_predictions
from tests.unit.loop.watching.watched_home import REFERENCE, WATCHED, WatchedHome

CLIENTS = ("Device=Phone", "Device=Computer", "Device=Nobody")


@pytest.fixture
def home(tmp_path: Path) -> WatchedHome:
    return WatchedHome(tmp_path)


def _gather(home: WatchedHome) -> Window:
    reference = read_reference(REFERENCE, WATCHED)
    return gather(read_predictions(home.log_folder), WATCHED, reference, CLIENTS)


def test_a_window_is_its_histograms(home: WatchedHome) -> None:
    home.log(home.predictions(range(8), (0, 1, 0, 3), probability=0.3))
    found = _gather(home)
    assert found.all.num_rows == 8
    assert found.all.histograms["Tenure"].cells.tolist() == [0, 4, 2, 2]
    assert found.all.histograms["Device"].cells.tolist() == [4, 4, 0]
    assert found.all.histograms["churn_probability"].cells.tolist() == [0, 8, 0]
    assert found.left_out == ()


def test_chunks_make_no_difference(home: WatchedHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home.log_like_reference(0, 50)
    home.log_shifted(100, 30)
    whole = _gather(home)
    monkeypatch.setattr(module, "CHUNK_ROWS", 7)
    parts = _gather(home)
    assert parts.all.num_rows == whole.all.num_rows == 80
    for name, histogram in whole.all.histograms.items():
        assert parts.all.histograms[name].cells.tolist() == histogram.cells.tolist()
        assert parts.all.histograms[name].missing == histogram.missing
    assert parts.probabilities.tolist() == whole.probabilities.tolist()
    assert {n: p.num_rows for n, p in parts.clients.items()} == {
        n: p.num_rows for n, p in whole.clients.items()
    }


def test_clients_are_told_apart_by_the_silo_column(home: WatchedHome) -> None:
    home.log(home.predictions(range(12), (0, 1, 1)))
    home.log(home.predictions(range(20, 23), (0,), values=(5.0, 1.0, "Watch", "Graz")))
    found = _gather(home)
    assert {name: part.num_rows for name, part in found.clients.items()} == {
        "Device=Phone": 6,
        "Device=Computer": 6,
    }
    assert found.num_other_clients == 3
    assert found.clients["Device=Phone"].histograms["Device"].cells.tolist() == [6, 0, 0]
    total = sum(part.histograms["Tenure"].cells for part in found.clients.values())
    assert np.asarray(total).tolist() == [0, 4, 8, 0]


def test_answers_of_a_fallback_are_no_scores(home: WatchedHome) -> None:
    home.log(home.predictions(range(6), (0, 1)))
    home.log(home.predictions(range(10, 14), (0, 1), model_used="rules"))
    found = _gather(home)
    assert found.models_used == {"champion": 6, "rules": 4}
    assert found.all.histograms["churn_probability"].num_rows == 6
    assert found.all.histograms["Tenure"].num_rows == 10
    assert len(found.probabilities) == 6


def test_only_answers_of_a_fallback_leave_the_score_out(home: WatchedHome) -> None:
    home.log(home.predictions(range(6), (0, 1), model_used="rules"))
    assert "churn_probability" not in _gather(home).all.histograms


def test_a_column_that_some_file_lacks_says_nothing(home: WatchedHome) -> None:
    home.log_like_reference(0, 10)
    home.log(home.predictions(range(20, 30), (0, 1)), masked_fields=("Tenure",))
    found = _gather(home)
    assert found.left_out == ("Tenure",)
    assert set(found.all.histograms) == {"Device", "churn_probability"}
    assert found.all.num_rows == 20
