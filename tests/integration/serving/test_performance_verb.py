"""``fedchurn performance``: from real answers and labels of a home to figures, money and decay."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fedchurn.cli.main import app
from fedchurn.release.write import write_release
from fedchurn.serving.answering import Answering, Question
from fedchurn.serving.feedback.store import FeedbackStore
from fedchurn.serving.live import Live, Serving
from fedchurn.serving.log.prediction_log import PredictionLog
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.recorder import Recorder
from fedchurn.serving.records import Answer
from fedchurn.serving.served_release import serve_release
from fedchurn.serving.serving_settings import ServingSettings
from tests.unit.release.releases import CONTRACT, parts

# What the release claims to have reached on its held-out rows.
FIGURES = {"num_rows": 2000, "num_positive": 1000, "accuracy": 0.99, "roc_auc": 0.99, "f1": 0.99}
ROWS = [
    {"Tenure": tenure, "Cashback": cashback, "Device": "Phone", "City": "Graz"}
    for tenure in range(0, 60, 3)
    for cashback in range(0, 300, 30)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 answers, every second of which was wrong."""
    home = tmp_path_factory.mktemp("home")
    folder = write_release(parts(metrics=FIGURES), home / "releases")
    serving = ServingSettings(home=home, contract="shop")
    recorder = Recorder([PredictionLog(serving.predictions_folder)])
    answering = Answering(Live(Serving(serve_release(folder, "1"))), recorder, PredictionIds())
    given = answering.many(ROWS, Question("/predict/batch", time.perf_counter()))
    recorder.stop()
    store = FeedbackStore(serving.feedback_folder, serving.predictions_folder)
    for number, one in enumerate(given):
        assert isinstance(one, Answer)
        truth = one.record.prediction ^ (number % 2)
        store.add(CONTRACT, label=truth, prediction_id=one.record.prediction_id)
    store.close()
    plain = CONTRACT.model_dump(mode="json", exclude_unset=True, by_alias=True)
    (home / "shop.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    return home


def told(home: Path, *words: str) -> str:
    (folder,) = (home / "releases").iterdir()
    given = ["--release", str(folder), "--contract", str(home / "shop.yaml")]
    run = CliRunner().invoke(app, ["performance", *given, "--set", f"home={home}", *words])
    assert run.exit_code == 0, run.output
    return run.stdout


def test_a_release_that_half_its_labels_contradict_has_decayed(home: Path) -> None:
    page = told(home, "--set", "feedback.maturity_days=0", "--json")
    found = json.loads(page.splitlines()[-1])
    assert found["figures"]["accuracy"] == 0.5
    assert found["decay"]["verdict"] == "decay"
    assert "accuracy of all clients fell from 0.990 to 0.500" in page
    assert found["revenue"]["revenue_lost"] is None  # the contract says of nobody what he is worth


def test_young_labels_wait(home: Path) -> None:
    page = told(home)
    assert "200 labels wait" in page
    assert "too_few_labels" in page
