"""The Prefect server of an embedded run: there for the run, gone after it, however it ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fedchurn.errors import FedchurnError
from flows.embedded_server import prefect_server
from infra.processes import free_port, wait_until

RUN = """
import pathlib, sys, time
from prefect import flow, task
from flows.embedded_server import prefect_server

@task(persist_result=False)
def work(number):
    return number

@flow(persist_result=False)
def many():
    return [work(number) for number in range(20)]

with prefect_server(pathlib.Path(sys.argv[1])):
    many()
    if sys.argv[2] == "stay":
        print("ready", flush=True)
        time.sleep(600)
"""


def _environment() -> dict[str, str]:
    foreign = ("PREFECT_", "FEDCHURN_", "MLFLOW_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return {
        **kept,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "100",  # on a busy machine
    }


def _start(home: Path, then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(home), then],
        env={**_environment(), "PREFECT_HOME": str(home / "prefect")},
        stdout=subprocess.PIPE,
        text=True,
    )


def _servers(home: Path) -> list[psutil.Process]:
    """Processes that serve from this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if "flows.server_process" in process.cmdline() and process.environ().get(
                "PREFECT_HOME"
            ) == str(home / "prefect"):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_all_is_on_record_when_it_is_over(tmp_path: Path) -> None:
    with _start(tmp_path, "end") as run:
        assert run.wait(timeout=200) == 0
    assert _servers(tmp_path) == []
    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as records:
        assert records.execute("select state_name from flow_run").fetchall() == [("Completed",)]
        states = records.execute("select state_name from task_run").fetchall()
    records.close()
    assert states == [("Completed",)] * 20  # and nothing of ours


def test_it_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    with _start(tmp_path, "stay") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        assert len(_servers(tmp_path)) == 1
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert wait_until(lambda: _servers(tmp_path) == [], deadline_seconds=60)


@pytest.mark.usefixtures("prefect")
def test_a_server_that_is_named_must_answer(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(FedchurnError, match="does not answer") as told,
        prefect_server(tmp_path),
    ):
        pytest.fail("there is no server")
    assert url in str(told.value)
    assert "make up" in told.value.next_step


@pytest.mark.usefixtures("prefect")
def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    (tmp_path / "prefect" / "prefect.db").mkdir(parents=True)  # no data base can be opened there
    with (
        temporary_settings({PREFECT_API_URL: None}),
        pytest.raises(FedchurnError, match="ended at once") as told,
        prefect_server(tmp_path),
    ):
        pytest.fail("there is no server")
    assert "unable to open database file" in str(told.value)
    assert "server.log" in told.value.where
