"""``bentoml serve`` as a user runs it: from the checkout, and from a bento built from it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fedchurn.quiet import apply_quiet_environment
from fedchurn.release.load import Release, load_release
from fedchurn.release.write import write_release
from tests.unit.release.releases import parts

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parents[2]
BENTOML = [sys.executable, "-m", "bentoml"]
DEADLINE_SECONDS = 50


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return load_release(write_release(parts(), tmp_path / "releases"))


@pytest.fixture
def environ(tmp_path: Path, release: Release) -> dict[str, str]:
    """A home of its own, in which the release is in production as version 7."""
    home = tmp_path / "home"
    pointer = home / "serving" / "shop.json"
    pointer.parent.mkdir(parents=True)
    facts = {"release_folder": str(release.folder), "release_id": release.release_id}
    pointer.write_text(json.dumps({**facts, "version": "7"}))
    named = {
        "BENTOML_HOME": str(home / "bentoml"),
        "FEDCHURN_HOME": str(home),
        "FEDCHURN_CONTRACT": "shop",
    }
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("FEDCHURN_", "BENTO"))}
    apply_quiet_environment(environ)
    return {**environ, **named}


def _run(*arguments: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BENTOML, *arguments],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )


@contextmanager
def _serving(what: str, cwd: Path, environ: dict[str, str], log: Path) -> Iterator[str]:
    """The address of a server that answers; it and its workers are gone afterwards."""
    port = _free_port()
    command = [*BENTOML, "serve", what, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=cwd, env=environ, stdout=output, stderr=output, start_new_session=True
        )
    family = [psutil.Process(server.pid)]
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/readyz", server, log)
        family += family[0].children(recursive=True)
        yield f"http://127.0.0.1:{port}"
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
    finally:
        for process in {*family, *_children(family[0])}:
            if process.is_running():
                process.kill()
        server.wait()
    assert not any(process.is_running() for process in family[1:])


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the server did not become ready:\n{log.read_text()}")


def _post(url: str, row: object) -> tuple[int, Any]:
    request = urllib.request.Request(
        url + "/predict", json.dumps(row).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def _gives_golden_answers(url: str, release: Release) -> None:
    for row, expected in zip(release.golden.rows, release.golden.probabilities, strict=True):
        status, answer = _post(url, dict(row))
        assert status == 200
        assert answer["churn_probability"] == pytest.approx(expected, abs=1e-6)
        assert (answer["release"], answer["model_version"]) == (release.release_id, "7")


def test_the_release_in_production_is_served(
    tmp_path: Path, environ: dict[str, str], release: Release
) -> None:
    with _serving(".", PROJECT, environ, tmp_path / "server.log") as url:
        _gives_golden_answers(url, release)
        status, answer = _post(url, {**release.golden.rows[0], "Tenure": 999})
        assert status == 422
        assert [(e["field"], e["value"], e["limit"]) for e in answer["errors"]] == [
            ("Tenure", 999, "0 to 240")
        ]
        with urllib.request.urlopen(url + "/release", timeout=10) as card:
            assert json.load(card)["release"] == release.release_id
        with urllib.request.urlopen(url + "/metrics", timeout=10) as metrics:
            counted = 'endpoint="/predict",http_response_code="422"'
            assert counted in metrics.read().decode()


def test_a_built_bento_serves_from_its_own_files(
    tmp_path: Path, environ: dict[str, str], release: Release
) -> None:
    built = _run("build", "--output", "tag", environ=environ)
    assert built.returncode == 0, built.stdout + built.stderr
    tag = built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
    bento = Path(environ["BENTOML_HOME"], "bentos", *tag.split(":"))
    # The checkout is installed, so importable too: with the bento's own folder first, a module that
    # the bento lacks is not found.
    lonely = {**environ, "PYTHONPATH": str(bento / "src")}
    with _serving(tag, tmp_path, lonely, tmp_path / "server.log") as url:
        _gives_golden_answers(url, release)


def test_one_flipped_bit_is_refused_and_the_file_named(
    environ: dict[str, str], release: Release
) -> None:
    damaged = release.folder / "fallback" / "weights.npz"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    refused = _run("serve", "--port", str(_free_port()), environ=environ)
    assert refused.returncode == 1
    assert "file 'fallback/weights.npz' is changed" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_nothing_in_production_says_what_to_run(environ: dict[str, str]) -> None:
    refused = _run(
        "serve", "--port", str(_free_port()), environ={**environ, "FEDCHURN_HOME": "/nonexistent"}
    )
    assert refused.returncode == 1
    assert "run `make demo` first" in refused.stderr
    assert "Traceback" not in refused.stderr
