"""The same registry against a real MLflow server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedchurn.errors import TrackingError
from fedchurn.quiet import apply_quiet_environment
from fedchurn.registry.journal import Journal
from fedchurn.registry.mlflow_model import register_release
from fedchurn.registry.mlflow_reach import check_reachable
from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.mlflow_tracking import ensure_experiment, tracked_run
from fedchurn.registry.promoter import promote, rollback
from fedchurn.release.write import write_release
from tests.unit.registry.acts import act
from tests.unit.release.releases import parts

pytestmark = pytest.mark.e2e
START_SECONDS = 120


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and process of a server with one worker and no job runners."""
    apply_quiet_environment(os.environ)
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    place = ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    mlflow = str(Path(sys.executable).with_name("mlflow"))
    command = [mlflow, "server", *store, *place, "--host", "127.0.0.1", "--port", port]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        _wait(f"http://127.0.0.1:{port}", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(30)


def _wait(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            return check_reachable(uri)
        except TrackingError:
            time.sleep(0.2)
    raise AssertionError(f"no server after {START_SECONDS} s:\n{log.read_text()}")


def test_from_a_run_to_production_and_back_then_the_server_goes_away(
    server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    uri, process = server
    registry, journal = MlflowRegistry(uri, "churn"), Journal(tmp_path / "journal.jsonl")
    experiment = ensure_experiment(uri, "training")
    folders = []
    for seed in (1, 2):
        with tracked_run(uri, experiment, name=f"seed {seed}") as run:
            run.log_params({"seed": seed})
            run.log_metrics({"roc_auc": 0.9}, step=1)
            run.log_dataset("north", "a" * 64, context="training", num_rows=10)
            release = parts(seed=seed, mlflow_run_id=run.run_id)
            folders.append(write_release(release, tmp_path / "releases"))
            version = register_release(run, folders[-1], model_name="churn", keras=False)
        assert version == str(seed)
    promote(registry, journal, "1", None, None, act(1))
    promote(registry, journal, "2", "1", None, act(2))
    assert registry.aliases() == {"production": "2", "previous": "1"}
    rollback(registry, journal, act(3))
    assert registry.aliases() == {"production": "1"}
    came = registry.fetch_release("1", tmp_path / "fetched")
    assert came.name == folders[0].name
    shutil.rmtree(came)

    process.terminate()
    process.wait(30)
    with pytest.raises(TrackingError, match=r"does not answer at .*/health"):
        check_reachable(uri)
