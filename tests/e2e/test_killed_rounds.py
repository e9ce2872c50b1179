"""A training that is killed between its rounds goes on, in its MLflow run, to equal weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.fedchurn_command import COMMAND, TIMEOUT_SECONDS, clean_environment, fedchurn

pytestmark = pytest.mark.e2e
TRAIN = (
    "train",
    "--set",
    "home=home",
    "--set",
    "evaluation.baselines=false",
    "--set",
    "packaging.after_promotion=false",
)


def kill_between_rounds(folder: Path) -> None:
    """Start a training and kill it when its third checkpoint or a later one is there."""
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, *TRAIN],
            cwd=folder,
            env=clean_environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + TIMEOUT_SECONDS
        while not list(folder.glob("home/training/*/model/0000000[3-9]-*.npz")):
            assert process.poll() is None, (folder / "output.txt").read_text()
            assert time.monotonic() < until, (folder / "output.txt").read_text()
            time.sleep(0.002)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def trained(folder: Path) -> tuple[Path, dict[str, object]]:
    """The folder of the finished training, and its facts."""
    (stage,) = (folder / "home" / "stages").glob("federate-*")
    return stage, json.loads((stage / "stage.json").read_text())


def test_killed_between_rounds(tmp_path: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    for folder in (killed, undisturbed):
        folder.mkdir()
    kill_between_rounds(killed)
    (begun,) = killed.glob("home/training/*/mlflow_run.json")
    run_id = json.loads(begun.read_text())["run_id"]

    for folder in (killed, undisturbed):
        done = fedchurn(folder, *TRAIN)
        assert done.code == 0, str(done)
    (stage, facts), (expected, _) = trained(killed), trained(undisturbed)
    assert facts["mlflow_run_id"] == run_id
    for file in ("model/weights.npz", "fallback/weights.npz", "rounds.json", "test.npz"):
        assert (stage / file).read_bytes() == (expected / file).read_bytes(), file
    assert not list(killed.glob("home/training/*")), "what is finished leaves nothing behind"
