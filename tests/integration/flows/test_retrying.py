"""Which failures of a task are tried again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect import flow, task

from fedchurn.errors import QuorumError, SourceError, TrackingError
from fedchurn.settings_files import load_settings
from tasks.retrying import is_passing
from tasks.training import check_tracking
from tests.integration.flows.conftest import Prefect


def _num_tries(error: Exception) -> int:
    """How often a task that may be retried twice is run when it raises ``error`` every time."""
    tries = 0

    @task(retries=2, retry_condition_fn=is_passing, persist_result=False)
    def fail() -> None:
        nonlocal tries
        tries += 1
        raise error

    @flow(persist_result=False, result_serializer="json")
    def failing() -> None:
        fail()

    with pytest.raises(type(error)):
        failing()
    return tries


@pytest.mark.usefixtures("prefect")
class TestTries:
    def test_wrong_rows_stay_wrong(self) -> None:
        assert _num_tries(SourceError("no such file", where="a.csv")) == 1

    def test_too_few_clients_are_not_asked_again(self) -> None:
        assert _num_tries(QuorumError("2 of 3")) == 1

    def test_a_server_may_come_back(self) -> None:
        assert _num_tries(TrackingError("silent")) == 3

    def test_so_may_whatever_nobody_foresaw(self) -> None:
        assert _num_tries(OSError("network")) == 3


class _LateServer(ThreadingHTTPServer):
    """Says that it is starting to the first that asks, then that it is well."""

    num_questions = 0


class _Health(BaseHTTPRequestHandler):
    server: _LateServer

    def do_GET(self) -> None:
        self.server.num_questions += 1
        self.send_response(503 if self.server.num_questions == 1 else 200)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def _late_server() -> Iterator[_LateServer]:
    with _LateServer(("127.0.0.1", 0), _Health) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.mark.usefixtures("prefect")
def test_an_mlflow_server_that_is_still_starting_is_asked_again() -> None:
    @flow(persist_result=False, result_serializer="json")
    def asking(uri: str) -> str:
        settings = load_settings(assignments=[f"tracking.uri={uri}"])
        answer: str = check_tracking(settings.model_dump(mode="json"))
        return answer

    with _late_server() as server:
        uri = f"http://127.0.0.1:{server.server_address[1]}"
        assert asking(uri) == uri
        assert server.num_questions == 2


def test_errors_are_kept_as_json(prefect: Prefect) -> None:
    _num_tries(SourceError("no such file", where="a.csv", next_step="look"))
    kept = [json.loads(path.read_text()) for path in prefect.stored_results()]
    assert "a.csv: no such file\n  next: look" in [error["message"] for error in kept]
