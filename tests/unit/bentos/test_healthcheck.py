"""What a container's health check says, asked of small servers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.conftest import PROJECT

SCRIPT = PROJECT / "bentos" / "churn" / "healthcheck.py"


@contextmanager
def _server(status: int) -> Iterator[int]:
    """Port of a server that answers ``status`` to /readyz, and 404 to all else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _checked(**environ: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-I", SCRIPT],
        env={**kept, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_healthy_is_ready(status: int, code: int) -> None:
    with _server(status) as port:
        done = _checked(BENTOML_PORT=str(port))
    assert done.returncode == code
    assert (f"{status}" in done.stderr) == bool(code)


def test_port_wins_over_bentoml_port_as_it_does_for_the_server() -> None:
    with _server(200) as port:
        assert _checked(PORT=str(port), BENTOML_PORT="1").returncode == 0


def test_nobody_there_is_not_healthy() -> None:
    done = _checked(PORT="1")
    assert done.returncode == 1
    assert done.stderr.startswith("not ready on port 1: ")
