"""A real MLflow server for tests, with one worker and no job runners."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedchurn.errors import TrackingError
from fedchurn.quiet import apply_quiet_environment
from fedchurn.registry.mlflow_reach import check_reachable
from tests.e2e.served import free_port

START_SECONDS = 60


@contextmanager
def mlflow_server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and process of a server whose store lies in ``folder``."""
    apply_quiet_environment(os.environ)
    port = str(free_port())
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
