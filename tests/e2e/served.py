"""The service as ``bentoml serve`` runs it, for tests: started, asked, and ended by process id."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from fedchurn.quiet import apply_quiet_environment
from fedchurn.release.load import Release

PROJECT = Path(__file__).resolve().parents[2]
BENTOML = [sys.executable, "-m", "bentoml"]
DEADLINE_SECONDS = 50
_FOREIGN = ("FEDCHURN_", "BENTO", "PREFECT_")  # a test's service alerts no Prefect of the user's


def service_environ(home: Path, release: Release | None = None, **more: str) -> dict[str, str]:
    """A quiet environment with a home of its own; ``release`` is served whatever home says."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    apply_quiet_environment(environ)
    environ |= {"BENTOML_HOME": str(home / "bentoml"), "FEDCHURN_HOME": str(home)}
    if release is not None:
        environ["FEDCHURN_CONTRACT"] = release.contract.contract
        environ["FEDCHURN_RELEASE"] = str(release.folder)
    return environ | more


def put_into_production(home: Path, release: Release, version: str = "7") -> None:
    """Write the pointer that a promotion writes."""
    pointer = home / "serving" / f"{release.contract.contract}.json"
    pointer.parent.mkdir(parents=True, exist_ok=True)
    facts = {"release_folder": str(release.folder), "release_id": release.release_id}
    pointer.write_text(json.dumps({**facts, "version": version}))


@contextmanager
def serving(
    environ: Mapping[str, str], log: Path, *, what: str = ".", cwd: Path = PROJECT
) -> Iterator[str]:
    """The address of a service that answers; it and its workers are gone afterwards."""
    with server_process(environ, log, what=what, cwd=cwd) as (url, server):
        yield url
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0


@contextmanager
def server_process(
    environ: Mapping[str, str], log: Path, *, what: str = ".", cwd: Path = PROJECT
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and process of a service that answers, for tests that end it in their own way."""
    port = free_port()
    command = [*BENTOML, "serve", what, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=cwd, env=dict(environ), stdout=output, stderr=output)
    family = [psutil.Process(server.pid)]
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/readyz", server, log)
        family += workers_of(server)
        yield f"http://127.0.0.1:{port}", server
    finally:
        family += workers_of(server)
        server.kill()  # first of all, for it would replace its workers
        server.wait()
        for process in family[1:]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    _, alive = psutil.wait_procs(family[1:], timeout=10)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def workers_of(server: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Processes below the one that was started."""
    try:
        return psutil.Process(server.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def post(url: str, path: str, content: object, **headers: str) -> tuple[int, Any]:
    """Status and JSON of a POST; ``content`` is sent as JSON unless it is bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _ask(url, "POST", path, body, {"content-type": "application/json"} | named)


def get(url: str, path: str, **headers: str) -> tuple[int, Any]:
    """Status and JSON (or text, where it is none) of a GET."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _ask(url, "GET", path, None, named)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Any, *, what: str, seconds: float = 20.0) -> None:
    """Wait for ``condition()``; fails with ``what`` when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.05)


def _ask(
    url: str, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    try:
        return answer.status, json.loads(content)
    except ValueError:
        return answer.status, content.decode()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the server did not become ready:\n{log.read_text()}")
