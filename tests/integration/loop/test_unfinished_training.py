"""Trainings that were killed: their MLflow runs are taken up again, or ended."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from fedchurn.errors import QuorumError, TrackingError
from fedchurn.loop import tracked_training
from fedchurn.loop.abandoned import KEPT_DAYS, remove_abandoned
from fedchurn.loop.federate import progress_folder
from fedchurn.registry.mlflow_tracking import TrackedRun, tracked_run
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from tests.unit.federation.clients import CONTRACT

PART = {"digest": "0" * 64, "num_rows": 3}
VALIDATED: dict[str, Any] = {
    "split_digests": {"a": "0"},
    "is_sample": True,
    "sources": ["rows.csv"],
    "parts": {"a": {"train": PART, "validation": PART, "test": PART}},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(None, [], {"home": tmp_path})


def runs(settings: Settings) -> list[Any]:
    experiment = tracked_training.experiment(settings)
    return list(MlflowClient(settings.tracking_uri).search_runs([experiment]))


def test_a_training_killed_while_its_data_were_told_goes_on_in_its_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        def killed(*_args: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(tracked_training, "_log_data", killed)
        with pytest.raises(KeyboardInterrupt):
            tracked_training.federate_tracked(settings, CONTRACT, VALIDATED)
    monkeypatch.setattr(
        tracked_training, "federate_stage", lambda *_args, facts, **_kwargs: dict(facts)
    )
    again = tracked_training.federate_tracked(settings, CONTRACT, VALIDATED)
    (run,) = runs(settings)
    assert run.info.run_id == again["mlflow_run_id"]
    assert run.info.status == "FINISHED"
    assert run.data.params["sources"] == "rows.csv"
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {"a"}


def test_what_nobody_went_on_with_is_removed_and_its_run_is_ended(settings: Settings) -> None:
    client = MlflowClient(settings.tracking_uri)
    experiment = tracked_training.experiment(settings)
    ids = {key: client.create_run(experiment).info.run_id for key in ("old", "new", "mine")}
    long_ago = time.time() - (KEPT_DAYS + 1) * 24 * 3600
    for key, run_id in ids.items():
        folder = progress_folder(settings.home, key)
        folder.mkdir(parents=True)
        (folder / "mlflow_run.json").write_text(json.dumps({"run_id": run_id}))
        if key != "new":
            for path in (folder / "mlflow_run.json", folder):
                os.utime(path, (long_ago, long_ago))
    assert remove_abandoned(settings, keep="mine") == ("old",)
    kept = {key: progress_folder(settings.home, key).exists() for key in ids}
    assert kept == {"old": False, "new": True, "mine": True}
    status = {key: client.get_run(run_id).info.status for key, run_id in ids.items()}
    assert status == {"old": "KILLED", "new": "RUNNING", "mine": "RUNNING"}


def test_what_failed_first_is_told_when_mlflow_is_away_at_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object) -> None:
        raise TrackingError("away")

    experiment = tracked_training.experiment(settings)
    monkeypatch.setattr(TrackedRun, "end", away)
    with (
        pytest.raises(QuorumError, match="too few"),
        tracked_run(settings.tracking_uri, experiment, name="n"),
    ):
        raise QuorumError("too few")


def test_a_run_whose_tags_are_refused_does_not_stay_running(settings: Settings) -> None:
    experiment = tracked_training.experiment(settings)
    with (
        pytest.raises(TrackingError),
        tracked_run(settings.tracking_uri, experiment, name="n", tags={"": "no name"}),
    ):
        pass
    assert [run.info.status for run in runs(settings)] == ["FAILED"]
