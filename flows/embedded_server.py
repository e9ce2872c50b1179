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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import httpx
from prefect import task
from prefect.runtime import task_run
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from fedchurn.errors import FedchurnError

RECORD_SECONDS = 20.0  # how long the server may take to write down what it was told
GRACE_SECONDS = 10.0
ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.05
NUM_LOG_LINES = 5

_is_own: ContextVar[bool] = ContextVar("is_own_server", default=False)


@contextmanager
def prefect_server(home: Path, *, meanwhile: Sequence[str] = ()) -> Iterator[None]:
    """Flows in the block run on the server that the settings name, else on one of their own.

    Args:
        home: where a server of their own keeps its data base and its log.
        meanwhile: modules to import while it comes up, which takes it several seconds.

    Raises:
        FedchurnError: the named server does not answer, or the own one does not come up.
    """
    named = PREFECT_API_URL.value()
    if named:
        _check_answers(named)
        yield
        return
    with _server(home.resolve() / "prefect", meanwhile) as url:
        own = {
            PREFECT_API_URL: url,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # nobody looks whether this process lives
            PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",  # for the last words
        }
        token = _is_own.set(True)
        with temporary_settings(own):
            try:
                yield
            finally:
                _is_own.reset(token)
                with suppress(Exception):  # the run is over; its outcome stands without records
                    _await_records(url)
                _hang_up()


def is_own_server() -> bool:
    """Whether flows run on a server that ends with this process."""
    return _is_own.get()


def _check_answers(url: str) -> None:
    if not _is_healthy(url):
        raise FedchurnError(
            "the Prefect server does not answer",
            where=f"PREFECT_API_URL={url}",
            next_step="start it (make up), or unset PREFECT_API_URL to run embedded",
        )


@contextmanager
def _server(home: Path, meanwhile: Sequence[str]) -> Iterator[str]:
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
        for name in meanwhile:
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
    return _asked("GET", f"{url}/health") is True


def _asked(method: str, url: str) -> Any:
    """The JSON answer; None when there is no good one."""
    try:
        with httpx.Client(trust_env=False, timeout=ANSWER_SECONDS) as client:
            answer = client.request(method, url)
            return answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError):
        return None


@task(name="last words", persist_result=False)
def _last_words() -> str:
    return str(task_run.id)


def _await_records(url: str) -> None:
    """Wait until the server has written down all that it was told about tasks; it does so late.

    It writes in the order in which it is told, so a task of our own that comes last is the proof.
    """
    last = f"{url}/task_runs/{_last_words()}"
    end = time.monotonic() + RECORD_SECONDS
    while not _is_completed(_asked("GET", last)) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    _asked("DELETE", last)


def _hang_up() -> None:
    """End Prefect's threads that talk to the server; they would wait for it when it is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all()
    APILogWorker.drain_all()


def _is_completed(run: Any) -> bool:
    return run is not None and run["state_type"] == "COMPLETED"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
