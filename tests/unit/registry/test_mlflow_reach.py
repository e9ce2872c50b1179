"""Whether MLflow can be used is known before training."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedchurn.errors import TrackingError
from fedchurn.registry.mlflow_errors import without_password
from fedchurn.registry.mlflow_reach import check_reachable


@contextmanager
def server(status: int, body: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{listener.server_port}"
        finally:
            listener.shutdown()
            thread.join()


def test_embedded_store_is_made_ready(tmp_path: Path) -> None:
    path = tmp_path / "state" / "mlflow.db"
    check_reachable(f"sqlite:///{path}")
    check_reachable(f"sqlite:///{path}")
    assert path.parent.is_dir()


def test_embedded_store_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("these are my notes, not a data base" * 10)
    with pytest.raises(TrackingError, match="file is not a database"):
        check_reachable(f"sqlite:///{path}")
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="cannot be used"):
        check_reachable(f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(TrackingError, match="cannot be used"):
        check_reachable(f"sqlite:///{tmp_path}")


def test_embedded_store_where_nobody_may_write() -> None:
    with pytest.raises(TrackingError, match="unable to open database file"):
        check_reachable("sqlite:////proc/mlflow.db")


def test_relative_paths_and_plain_folders_are_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(TrackingError) as caught:
        check_reachable("sqlite:///mlflow.db")
    assert caught.value.next_step == f"write sqlite:///{Path.cwd() / 'mlflow.db'}"
    for uri in ("./mlruns", str(tmp_path), f"file://{tmp_path}", "", "htpp://host"):
        with pytest.raises(TrackingError, match="not a tracking URI"):
            check_reachable(uri)


def test_a_server_that_answers() -> None:
    with server(200, b"OK") as host:
        check_reachable(f"http://{host}")
        check_reachable(f"http://user:secret@{host}/")


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (500, b"OK"), (404, b"")])
def test_a_server_that_is_no_mlflow(status: int, body: bytes) -> None:
    with server(status, body) as host, pytest.raises(TrackingError, match="/health"):
        check_reachable(f"http://{host}")


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(TrackingError) as caught:
        check_reachable("http://user:secret@127.0.0.1:9")
    assert "http://127.0.0.1:9/health" in caught.value.what
    assert "secret" not in str(caught.value)
    assert "make up" in caught.value.next_step


def test_passwords_are_hidden() -> None:
    assert without_password("postgresql://anna:s3@db:5432/x") == "postgresql://anna:***@db:5432/x"
    assert without_password("http://host:5000/a@b") == "http://host:5000/a@b"
