"""One real prediction by a bento from the store: served, asked over HTTP, and ended again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedchurn.errors import PackageError
from fedchurn.loop.package_build import bento_environment
from fedchurn.loop.package_store import StoredBento
from fedchurn.release.golden import TOLERANCE
from fedchurn.release.load import Release, load_release

START_SECONDS = 60.0
GRACE_SECONDS = 10.0
ANSWER_SECONDS = 10.0
POLL_SECONDS = 0.05
NUM_LINES = 8

# A proxy of the environment must not stand between this machine and itself.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Trial:
    """A prediction that was served.

    Attributes:
        url: where.
        customer: the body of the request.
        answer: what came back.
        start_seconds: from the start of the process to the first ready answer.
        answer_seconds: of the request.
    """

    url: str
    customer: dict[str, Any]
    answer: dict[str, Any]
    start_seconds: float
    answer_seconds: float


def try_bento(bento: StoredBento) -> Trial:
    """Serve ``bento`` on a free port of this machine and ask it about the first golden row.

    It writes to a folder of its own, so that no log and no metrics are touched.

    Raises:
        PackageError: it does not start, or does not answer as its release does.
    """
    release = load_release(bento.model_folder / "release")
    customer = dict(release.golden.rows[0])
    started = time.monotonic()
    with _served(bento) as url:
        ready = time.monotonic()
        answer = _ask(f"{url}/predict", customer, bento)
        asked = time.monotonic()
    _check(answer, release, bento)
    return Trial(f"{url}/predict", customer, answer, ready - started, asked - ready)


@contextmanager
def _served(bento: StoredBento) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="fedchurn-trial-") as name:
        folder, port = Path(name), _free_port()
        log = folder / "server.log"
        command = [sys.executable, "-m", "bentoml", "serve", bento.tag]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port)],
                cwd=folder,
                env=_environment(bento, folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _await_ready(f"{url}/readyz", server, bento, log)
            yield url
        finally:
            _stop(server)


def _environment(bento: StoredBento, folder: Path) -> dict[str, str]:
    """Same bentos and models, other metrics: a server empties the metrics folder of its home."""
    own = folder / "bentoml"
    own.mkdir()
    for part in ("bentos", "models"):
        (own / part).symlink_to(bento.store / part)
    return {**bento_environment(bento, folder / "home"), "BENTOML_HOME": str(own)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_ready(url: str, server: subprocess.Popen[bytes], bento: StoredBento, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        with suppress(OSError), _DIRECT.open(url, timeout=1):
            return
        time.sleep(POLL_SECONDS)
    lines = log.read_text(errors="replace").strip().splitlines()[-NUM_LINES:]
    raise _failed(bento, "\n".join(["did not start to serve:", *lines]))


def _ask(url: str, customer: Mapping[str, Any], bento: StoredBento) -> dict[str, Any]:
    body = json.dumps(customer).encode()
    header = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, header)  # noqa: S310 - of this machine
    try:
        with _DIRECT.open(request, timeout=ANSWER_SECONDS) as answered:
            answer: dict[str, Any] = json.load(answered)
            return answer
    except urllib.error.HTTPError as error:
        with error:
            told = error.read(400).decode(errors="replace")
        raise _failed(bento, f"answered {error.code} to a golden row: {told}") from error
    except (OSError, ValueError) as error:
        raise _failed(bento, f"did not answer: {error}") from error


def _check(answer: dict[str, Any], release: Release, bento: StoredBento) -> None:
    expected = release.golden.probabilities[0]
    difference = abs(answer.get("churn_probability", float("nan")) - expected)
    if not difference <= TOLERANCE:
        raise _failed(bento, f"answered {answer} to a golden row, expected {expected:.8f}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the server, which ends its workers; SIGKILL to the session if it does not."""
    server.terminate()
    try:
        server.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _failed(bento: StoredBento, what: str) -> PackageError:
    return PackageError(
        what, where=f"bento {bento.tag}", next_step="bentoml serve it by hand to see its log"
    )
