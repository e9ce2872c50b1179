"""A bento from the store, served on a free port of this machine for as long as a block lasts."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fedchurn.errors import PackageError
from fedchurn.loop.package_build import bento_environment
from fedchurn.loop.package_store import StoredBento
from fedchurn.loop.tied_process import GRACE_SECONDS

HOST = "127.0.0.1"
START_SECONDS = 60.0
ANSWER_SECONDS = 10.0
POLL_SECONDS = 0.05
NUM_LINES = 8
NUM_CHARACTERS = 400  # of what the service says when it refuses


@dataclass(frozen=True)
class BentoServer:
    """A bento that is being served.

    Attributes:
        bento: what is served.
        port: where, on this machine.
        start_seconds: from the start of the process until it was ready.
    """

    bento: StoredBento
    port: int
    start_seconds: float

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def ask(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        """The JSON object that comes back.

        Raises:
            PackageError: the service refused, or did not answer.
        """
        return next(self.ask_each(method, path, [content]))

    def ask_each(
        self, method: str, path: str, contents: Iterable[object]
    ) -> Iterator[dict[str, Any]]:
        """The JSON objects that come back, one per content, over one connection.

        Raises:
            PackageError: the service refused one, or did not answer.
        """
        with _connected(self.port) as connection:
            for content in contents:
                try:
                    status, told = _answer(connection, method, path, content)
                except (OSError, http.client.HTTPException) as error:
                    raise failed(self.bento, f"did not answer {method} {path}: {error}") from error
                if status != 200:
                    text = told[:NUM_CHARACTERS].decode(errors="replace")
                    raise failed(self.bento, f"answered {status} to {method} {path}: {text}")
                answer: dict[str, Any] = json.loads(told)
                yield answer


@contextmanager
def bento_served(
    bento: StoredBento, home: Path | None = None, *, log_folder: Path | None = None
) -> Iterator[BentoServer]:
    """Serve ``bento`` inside the block; the service ends with it, and with this process.

    Args:
        bento: what to serve.
        home: whose promotions it follows, and where it logs; None: a folder of its own, so that no
            log and no metrics are touched.
        log_folder: where it logs predictions, if not under home.

    Raises:
        PackageError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="fedchurn-served-") as name:
        folder, port = Path(name), _free_port()
        environ = _environment(bento, folder, home or folder / "home")
        if log_folder is not None:
            environ["FEDCHURN_SERVE_LOG_FOLDER"] = str(log_folder.resolve())
        log = folder / "server.log"
        with log.open("wb") as output:
            process = _start(bento, port, folder, environ, output)
        started = time.monotonic()
        try:
            _await_ready(port, process, bento, log)
            yield BentoServer(bento, port, time.monotonic() - started)
        finally:
            _stop(process)


def failed(bento: StoredBento, what: str) -> PackageError:
    """The error that says what a served bento did not do."""
    return PackageError(
        what, where=f"bento {bento.tag}", next_step="bentoml serve it by hand to see its log"
    )


def _start(
    bento: StoredBento, port: int, folder: Path, environ: Mapping[str, str], output: IO[bytes]
) -> subprocess.Popen[bytes]:
    tied = [sys.executable, "-m", "fedchurn.loop.tied_process"]
    serve = [sys.executable, "-m", "bentoml", "serve", bento.tag]
    return subprocess.Popen(
        [*tied, *serve, "--host", HOST, "--port", str(port)],
        cwd=folder,
        env=environ,
        stdin=subprocess.PIPE,  # nothing is written to it; see ``tied_process``
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _environment(bento: StoredBento, folder: Path, home: Path) -> dict[str, str]:
    """Same bentos and models, other metrics: a server empties the metrics folder of its home."""
    own = folder / "bentoml"
    own.mkdir()
    for part in ("bentos", "models"):
        (own / part).symlink_to(bento.store / part)
    return {**bento_environment(bento, home.resolve()), "BENTOML_HOME": str(own)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _await_ready(
    port: int, process: subprocess.Popen[bytes], bento: StoredBento, log: Path
) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError, http.client.HTTPException), _connected(port) as connection:
            if _answer(connection, "GET", "/readyz")[0] == 200:
                return
        time.sleep(POLL_SECONDS)
    lines = log.read_text(errors="replace").strip().splitlines()[-NUM_LINES:]
    raise failed(bento, "\n".join(["did not start to serve:", *lines]))


@contextmanager
def _connected(port: int) -> Iterator[http.client.HTTPConnection]:
    """Straight to this machine, whatever proxy the environment names."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def _answer(
    connection: http.client.HTTPConnection, method: str, path: str, content: object = None
) -> tuple[int, bytes]:
    """Status and body."""
    body = None if content is None else json.dumps(content)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let it end by itself, which takes its workers with it; SIGKILL to the session otherwise."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=GRACE_SECONDS + 1.0)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
