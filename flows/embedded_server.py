"""A Prefect server for a run that names none, gone when the run is over.

Prefect would start one by itself, but only when the flow begins, and then wait for it; and it would
kill it at exit, before the last task runs are written down. This one comes up while this process
imports the libraries that the flow needs anyway, and it is stopped when it has recorded the run.
"""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from fedchurn.errors import FedchurnError

RECORD_SECONDS = 10.0  # how long the server may take to write down what it was told
GRACE_SECONDS = 10.0
ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.05
NUM_LOG_LINES = 5

# What the stages import anyway takes about as long as the server, which has a core of its own.
WANTED_SOON = ("mlflow", "great_expectations", "sklearn.ensemble")


@contextmanager
def prefect_server(home: Path) -> Iterator[None]:
    """Flows in the block run on the server that the settings name, else on one of their own.

    Args:
        home: where a server of their own keeps its data base and its log.

    Raises:
        FedchurnError: the named server does not answer, or the own one does not come up.
    """
    named = PREFECT_API_URL.value()
    if named:
        _check_answers(named)
        yield
        return
    with _server(home.resolve() / "prefect") as url:
        # Heartbeats tell other processes that this one lives; there are none that look.
        own = {PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        since = datetime.now(UTC)
        with temporary_settings(own):
            yield
            _await_records(url, since)


def _check_answers(url: str) -> None:
    if not _is_healthy(url):
        raise FedchurnError(
            "the Prefect server does not answer",
            where=f"PREFECT_API_URL={url}",
            next_step="start it (make up), or unset PREFECT_API_URL to run embedded",
        )


@contextmanager
def _server(home: Path) -> Iterator[str]:
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "flows.server_process",
                str(listener.fileno()),
                str(os.getpid()),
            ],
            env={**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": url},
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the flow, which still has something to report
        )
    try:
        for name in WANTED_SOON:
            _import(name)
        _await_health(process, url, log)
        yield url
    finally:
        _stop(process)


def _import(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of third parties, about themselves
        importlib.import_module(name)


def _await_health(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    limit_seconds = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    end = time.monotonic() + limit_seconds
    while not _is_healthy(url):
        if process.poll() is not None:
            raise _absent(f"ended at once with exit code {process.returncode}", log)
        if time.monotonic() > end:
            raise _absent(f"did not answer within {limit_seconds} seconds", log)
        time.sleep(POLL_SECONDS)


def _absent(fate: str, log: Path) -> FedchurnError:
    lines = log.read_text(errors="replace").splitlines()[-NUM_LOG_LINES:]
    return FedchurnError(
        "\n".join([f"the embedded Prefect server {fate}", *lines]),
        where=str(log),
        next_step="mend the cause shown there; on a busy machine raise"
        " PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS",
    )


def _is_healthy(url: str) -> bool:
    return _asked(f"{url}/health") is True


def _asked(url: str, question: dict[str, Any] | None = None) -> Any:
    """The JSON answer (POST when there is a question); None when there is no good one."""
    method = "GET" if question is None else "POST"
    try:
        with httpx.Client(trust_env=False, timeout=ANSWER_SECONDS) as client:
            answer = client.request(method, url, json=question)
            return answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError):
        return None


def _await_records(url: str, since: datetime) -> None:
    """Wait until the server has written down how this run's tasks ended; it hears of that late."""
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all()
    unfinished = {
        "flow_runs": {"start_time": {"after_": since.isoformat()}},
        "task_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}},
    }
    end = time.monotonic() + RECORD_SECONDS
    while _asked(f"{url}/task_runs/count", unfinished) != 0 and time.monotonic() < end:
        time.sleep(POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
