"""A training that is over leaves no noise key behind, wherever it was killed."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from fedchurn.loop import tracked_training
from fedchurn.loop.federate import federate_key, forget_progress, progress_folder
from fedchurn.loop.stage import stage_folder
from fedchurn.settings_files import load_settings
from tests.unit.federation.clients import CONTRACT

VALIDATED = {"split_digests": {"a": "0"}}


def test_killed_between_its_result_and_the_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(None, [], {"home": tmp_path})
    key = federate_key(settings, CONTRACT, VALIDATED)
    done = stage_folder(tmp_path, "federate", key)
    done.mkdir(parents=True)
    (done / "stage.json").write_text(json.dumps({"mlflow_run_id": "run", "files": []}))
    kept = progress_folder(tmp_path, key) / "model"
    kept.mkdir(parents=True)
    (kept / "00000001-0.npz").write_bytes(b"key")
    monkeypatch.setattr(tracked_training, "run_exists", lambda _uri, _run: True)
    again = tracked_training.federate_tracked(settings, CONTRACT, VALIDATED)
    assert again["mlflow_run_id"] == "run"
    assert not kept.parent.exists()


def test_a_folder_that_cannot_be_removed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    progress_folder(tmp_path, "key").mkdir(parents=True)
    monkeypatch.setattr("shutil.rmtree", lambda *_args, **_kwargs: None)
    with caplog.at_level(logging.WARNING):
        forget_progress(tmp_path, "key")
    assert "cannot be removed" in caplog.text
