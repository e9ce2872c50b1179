"""``bentoml serve`` as a user runs it: what it serves, and how it starts, follows and stops."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.release.load import Release, load_release
from fedchurn.release.write import write_release
from fedchurn.serving.log.log_reader import read_predictions
from fedchurn.serving.predictor import Predictor
from tests.e2e.served import (
    BENTOML,
    DEADLINE_SECONDS,
    PROJECT,
    free_port,
    get,
    post,
    put_into_production,
    server_process,
    service_environ,
    serving,
    wait_until,
    workers_of,
)
from tests.unit.release.releases import parts

pytestmark = pytest.mark.e2e
PLAIN = {"Tenure": 3, "Cashback": 120.5, "Device": "Phone", "City": "Rome"}
TWO_WORKERS = {
    "BENTOML_CONFIG_OPTIONS": "services.churn.workers=2",
    "FEDCHURN_SERVE_RELOAD_INTERVAL_SECONDS": "0.2",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def releases(home: Path) -> tuple[Release, Release]:
    """Two releases of one contract, which answer differently."""
    first, second = (write_release(parts(seed=seed), home / "releases") for seed in (7, 17))
    return load_release(first), load_release(second)


@pytest.fixture(scope="module")
def url(home: Path, releases: tuple[Release, Release]) -> Iterator[str]:
    """Two workers; the first release is in production as version 7."""
    put_into_production(home, releases[0])
    environ = service_environ(home, FEDCHURN_CONTRACT="shop", **TWO_WORKERS)
    with serving(environ, home / "server.log") as address:
        wait_until(lambda: _health(address)["num_workers"] == 2, what="both workers")
        yield address


def _statuses(url: str) -> set[str]:
    """What both workers say: either may answer a call."""
    return {_health(url)["status"] for _ in range(12)}


def _health(url: str) -> dict[str, Any]:
    status, page = get(url, "/health")
    assert status == 200
    found: dict[str, Any] = page
    return found


def _wrong(answer: dict[str, Any], row: dict[str, Any], known: dict[str, Release]) -> bool:
    """Whether an answer is not what the release that it names gives."""
    model = known[answer["release"]].model
    expected = Predictor(model).one(canonical_row(row, model.contract).values)
    return abs(float(answer["churn_probability"]) - expected) > 2e-6


def test_the_release_in_production_is_served(url: str, releases: tuple[Release, Release]) -> None:
    release = releases[0]
    for row, expected in zip(release.golden.rows, release.golden.probabilities, strict=True):
        status, answer = post(url, "/predict", dict(row))
        assert status == 200
        assert answer["churn_probability"] == pytest.approx(expected, abs=1e-6)
        assert (answer["release"], answer["model_version"]) == (release.release_id, "7")
    status, answer = post(url, "/predict", {**release.golden.rows[0], "Tenure": 999})
    assert status == 422
    assert [(e["field"], e["value"], e["limit"]) for e in answer["errors"]] == [
        ("Tenure", 999, "0 to 240")
    ]
    assert get(url, "/release")[1]["release"] == release.release_id
    _, metrics = get(url, "/metrics")
    assert 'endpoint="/predict",http_response_code="422"' in metrics


def test_truths_that_come_back_become_performance(url: str, home: Path) -> None:
    # One answer in four turns out to be wrong.
    rows = [{**PLAIN, "Tenure": tenure} for tenure in range(40)]
    answers = [post(url, "/predict", row)[1] for row in rows]
    wait_until(
        lambda: {a["prediction_id"] for a in answers} <= _logged(home), what="writing the log"
    )
    for number, answer in enumerate(answers):
        label = answer["churn_prediction"] if number % 4 else 1 - answer["churn_prediction"]
        sent = {"prediction_id": answer["prediction_id"], "label": label}
        status, receipt = post(url, "/feedback", sent)
        assert (status, receipt["is_known"]) == (200, True)
    status, page = get(url, "/monitoring/performance")
    assert status == 200
    assert page["recent_predictions"] >= 40
    assert page["labelled"]["num_labelled"] == 40
    assert page["labelled"]["accuracy"] == pytest.approx(0.75)


def _logged(home: Path) -> set[str]:
    return {p.prediction_id for p in read_predictions(home / "service" / "shop" / "predictions")}


def test_both_workers_follow_a_promotion_and_a_call(
    url: str, home: Path, releases: tuple[Release, Release]
) -> None:
    first, second = releases
    known = {release.release_id: release for release in releases}

    def all_answer_with(release: Release) -> bool:
        answers = [post(url, "/predict", PLAIN) for _ in range(8)]
        assert {status for status, _ in answers} == {200}
        assert not [a for _, a in answers if _wrong(a, PLAIN, known)]
        named = {answer["release"] for _, answer in answers}
        told = {worker["release"] for worker in _health(url)["workers"]}
        return named == told == {release.release_id}

    assert all_answer_with(first)
    put_into_production(home, second, "8")
    wait_until(lambda: all_answer_with(second), what="following the promotion")
    assert post(url, "/predict", PLAIN)[1]["model_version"] == "8"

    status, told = post(url, "/reload-model", {"release": first.release_id})
    assert (status, told["new_release"]) == (200, first.release_id)
    assert told["previous_release"] == second.release_id
    wait_until(lambda: all_answer_with(first), what="following the call")

    status, refused = post(url, "/reload-model", {"release": "shop-1.2.0-000000000000"})
    assert (status, refused["errors"][0]["rule"]) == (409, "unknown_release")
    assert all_answer_with(first)
    put_into_production(home, first, "9")  # the newest word counts
    wait_until(
        lambda: {post(url, "/predict", PLAIN)[1]["model_version"] for _ in range(8)} == {"9"},
        what="following the second promotion",
    )
    assert _health(url)["status"] == "healthy"


def test_a_damaged_release_is_not_followed(
    url: str, home: Path, releases: tuple[Release, Release]
) -> None:
    before = post(url, "/predict", PLAIN)[1]["release"]
    damaged = load_release(write_release(parts(seed=27), home / "releases"))
    weights = damaged.folder / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    put_into_production(home, damaged, "10")
    try:
        wait_until(lambda: _statuses(url) == {"degraded"}, what="refusing the damaged one")
        assert "weights.npz" in _health(url)["last_reload_failure"]
        assert {post(url, "/predict", PLAIN)[1]["release"] for _ in range(8)} == {before}
    finally:
        put_into_production(home, releases[0], "11")
    wait_until(lambda: _statuses(url) == {"healthy"}, what="recovering")


def test_a_request_that_has_begun_is_answered_before_the_end(tmp_path: Path) -> None:
    release = load_release(write_release(parts(), tmp_path / "releases"))
    environ = service_environ(tmp_path / "home", release)
    body = json.dumps(PLAIN).encode()
    with server_process(environ, tmp_path / "server.log") as (url, server):
        with socket.create_connection(_place(url), timeout=10) as slow:
            length = str(len(body)).encode()
            head = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
            slow.sendall(head + length + b"\r\n\r\n" + body[:5])
            time.sleep(0.3)  # it waits for the rest now
            server.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            slow.sendall(body[5:])
            answer = _all(slow)
        assert answer.startswith(b"HTTP/1.1 200 ")
        workers = workers_of(server)
        assert server.wait(timeout=20) == 0
        assert not any(worker.is_running() for worker in workers)
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert found["prediction_id"] in _logged(tmp_path / "home")


def _place(url: str) -> tuple[str, int]:
    host, port = urlsplit(url).netloc.split(":")
    return host, int(port)


def _all(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts_of_answer = []
    while piece := connection.recv(65536):
        parts_of_answer.append(piece)
    return b"".join(parts_of_answer)


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


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "run `make demo` first"),
        ({"FEDCHURN_SERVE_EXPLAINN": "true"}, "FEDCHURN_SERVE_EXPLAIN"),
        ({"FEDCHURN_SERVE_SHADOW_FRACTION": "7"}, "FEDCHURN_SERVE_SHADOW_FRACTION"),
    ],
)
def test_what_is_wrong_is_told_before_the_port_opens(
    more: dict[str, str], told: str, tmp_path: Path
) -> None:
    environ = service_environ(tmp_path / "home", FEDCHURN_CONTRACT="shop", **more)
    refused = _run("serve", "--port", str(free_port()), environ=environ)
    assert refused.returncode == 1
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_built_bento_serves_from_its_own_files(tmp_path: Path) -> None:
    home = tmp_path / "home"
    release = load_release(write_release(parts(), tmp_path / "releases"))
    put_into_production(home, release)
    environ = service_environ(home, FEDCHURN_CONTRACT="shop")
    built = _run("build", "--output", "tag", environ=environ)
    assert built.returncode == 0, built.stdout + built.stderr
    tag = built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
    bento = Path(environ["BENTOML_HOME"], "bentos", *tag.split(":"))
    # The checkout is installed, so importable too: with the bento's own folder first, a module that
    # the bento lacks is not found.
    lonely = {**environ, "PYTHONPATH": str(bento / "src")}
    with serving(lonely, tmp_path / "server.log", what=tag, cwd=tmp_path) as url:
        for row, expected in zip(release.golden.rows, release.golden.probabilities, strict=True):
            status, answer = post(url, "/predict", dict(row))
            assert status == 200
            assert answer["churn_probability"] == pytest.approx(expected, abs=1e-6)
            assert (answer["release"], answer["model_version"]) == (release.release_id, "7")
