"""A registered version scores by itself, and so does its Keras model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedchurn.errors import IntegrityError, TrackingError
from fedchurn.registry.mlflow_model import register_release
from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.mlflow_tracking import TrackedRun, ensure_experiment, tracked_run
from fedchurn.release.load import load_release
from fedchurn.release.write import write_release
from tests.unit.release.releases import parts

SCORE = """
import json, sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/churn_prediction_model/1")
frame = pd.read_json(sys.argv[2], orient="split", dtype=False)
answer = model.predict(frame)
import fedchurn
print(json.dumps({
    "probabilities": answer["churn_probability"].tolist(), "churn": answer["churn"].tolist(),
    "fedchurn": fedchurn.__file__, "heavy": "tensorflow" in sys.modules,
}))
"""


@pytest.fixture
def run(uri: str, tmp_path: Path) -> TrackedRun:
    experiment = ensure_experiment(uri, "training", tmp_path / "artifacts")
    client = TrackedRun(uri, "").client()
    return TrackedRun(uri, client.create_run(experiment).info.run_id)


def golden_frame(folder: Path) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    release = load_release(folder)
    frame = pd.DataFrame(list(release.golden.rows))
    for name, column in release.contract.columns.items():
        frame[name] = frame[name].astype("float64" if column.is_number else "object")
    return frame, np.asarray(release.golden.probabilities)


def test_a_registered_release_scores_in_another_process_without_fedchurn(
    run: TrackedRun, tmp_path: Path
) -> None:
    import mlflow

    before = mlflow.is_tracking_uri_set(), list(sys.path), os.environ.get("MLFLOW_TRACKING_URI")
    folder = write_release(parts(mlflow_run_id=run.run_id), tmp_path / "releases")
    version = register_release(run, folder, tags={"reason": "weekly"})
    after = mlflow.is_tracking_uri_set(), list(sys.path), os.environ.get("MLFLOW_TRACKING_URI")
    assert after == before
    assert mlflow.active_run() is None
    assert version == "1"
    assert register_release(run, folder) == "1"  # a retried flow

    frame, expected = golden_frame(folder)
    frame.to_json(tmp_path / "rows.json", orient="split")
    (tmp_path / "score.py").write_text(SCORE)
    done = subprocess.run(
        [sys.executable, "score.py", run.uri, "rows.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert np.abs(np.asarray(answer["probabilities"]) - expected).max() < 1e-6
    assert answer["churn"] == (expected >= 0.31).astype(int).tolist()
    assert str(tmp_path / "artifacts") in answer["fedchurn"]
    assert not answer["heavy"]

    check_tags(run, folder)
    check_keras(run, expected)
    check_fetch(run, folder, tmp_path / "elsewhere")


def check_tags(run: TrackedRun, folder: Path) -> None:
    found = MlflowRegistry(run.uri, "churn_prediction_model").find("1")
    assert found is not None
    assert (found.release_id, found.run_id) == (folder.name, run.run_id)
    assert found.tags["accuracy"] == "0.894000"
    assert found.tags["f1"] == "0.630000"
    assert found.tags["participants"] == "north, south"
    assert found.tags["contract"] == "shop"
    assert found.tags["is_sample"] == "true"
    assert found.tags["data_digest"] == load_release(folder).card.data_digest
    assert found.tags["reason"] == "weekly"


def check_keras(run: TrackedRun, expected: np.ndarray[Any, Any]) -> None:
    """The logged Keras model, reloaded, answers the logged example."""
    import keras

    client = run.client()
    example = json.loads(
        Path(client.download_artifacts(run.run_id, "keras_input_example.json")).read_text()
    )
    (logged,) = client.search_logged_models(
        [client.get_run(run.run_id).info.experiment_id], "name = 'keras_model'"
    )
    folder = Path(logged.artifact_location.removeprefix("file://"))
    model = keras.models.load_model(folder / "data" / "model.keras")
    answer = np.asarray(model(np.asarray(example["inputs"], dtype=np.float32)))[:, 0]
    assert np.abs(answer - expected[:3]).max() < 1e-6
    assert example["probabilities"] == expected[:3].tolist()
    assert len(example["input_names"]) == len(example["inputs"][0])
    assert "signature" in (folder / "MLmodel").read_text()


def check_fetch(run: TrackedRun, folder: Path, elsewhere: Path) -> None:
    """The release comes back byte by byte, and a damaged copy is refused."""
    registry = MlflowRegistry(run.uri, "churn_prediction_model")
    for _ in range(2):
        came = registry.fetch_release("1", elsewhere)
        assert came == elsewhere / folder.name
        assert load_release(came).release_id == folder.name
    assert [p.name for p in elsewhere.iterdir()] == [folder.name]
    (came / "card.md").write_text("better")
    with pytest.raises(IntegrityError, match=r"card\.md"):
        registry.fetch_release("1", elsewhere)


def test_a_release_that_does_not_answer_as_promised_is_not_registered(
    run: TrackedRun, tmp_path: Path
) -> None:
    folder = write_release(parts(), tmp_path / "releases")
    (folder / "golden.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"golden\.json"):
        register_release(run, folder)
    assert MlflowRegistry(run.uri, "churn_prediction_model").versions() == ()


def test_what_a_run_records(uri: str, tmp_path: Path) -> None:
    experiment = ensure_experiment(uri, "training", tmp_path / "artifacts")
    assert ensure_experiment(uri, "training", tmp_path / "other") == experiment
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "page.html").write_text("<p>")
    with tracked_run(uri, experiment, name="weekly", tags={"git_commit": "abc"}) as run:
        run.log_params(
            {"recipe": "additive", "newton": {"ridge": 0.1}} | {f"p{i}": i for i in range(150)}
        )
        for round_num in (1, 2):
            run.log_metrics({"auc": 0.8 + round_num / 100, "none": None, "nan": np.nan}, round_num)
        run.log_dataset("north", "a" * 64, context="training", num_rows=120)
        run.log_folder(tmp_path / "report", "report")
    stored = run.client().get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.data.params["newton.ridge"] == "0.1"
    assert len(stored.data.params) == 152
    assert stored.data.metrics == {"auc": pytest.approx(0.82)}
    assert [m.step for m in run.client().get_metric_history(run.run_id, "auc")] == [1, 2]
    assert stored.data.tags["git_commit"] == "abc"
    (entry,) = stored.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("north", "a" * 36)
    tags = {t.key: t.value for t in entry.tags}
    assert (tags["mlflow.data.context"], tags["sha256"]) == ("training", "a" * 64)
    assert (tmp_path / "artifacts" / run.run_id / "artifacts" / "report" / "page.html").exists()


def test_a_run_that_fails_says_so_and_can_go_on(uri: str) -> None:
    experiment = ensure_experiment(uri, "training")
    with pytest.raises(ValueError, match="boom"), tracked_run(uri, experiment, name="x") as run:
        raise ValueError("boom")
    assert run.client().get_run(run.run_id).info.status == "FAILED"
    with tracked_run(uri, experiment, name="x", run_id=run.run_id) as again:
        assert again.client().get_run(run.run_id).info.status == "RUNNING"
    assert run.client().get_run(run.run_id).info.status == "FINISHED"
    with pytest.raises(KeyboardInterrupt), tracked_run(uri, experiment, name="x") as run:
        raise KeyboardInterrupt
    assert run.client().get_run(run.run_id).info.status == "KILLED"


def test_a_deleted_experiment_is_named(uri: str) -> None:
    experiment = ensure_experiment(uri, "training")
    TrackedRun(uri, "").client().delete_experiment(experiment)
    with pytest.raises(TrackingError, match="'training' was deleted"):
        ensure_experiment(uri, "training")
