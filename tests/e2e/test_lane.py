"""What BentoML promises holds on the fast lane too, on a real server (docs/decisions/0032)."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fedchurn.release.load import Release, load_release
from fedchurn.release.write import write_release
from fedchurn.serving.log.log_reader import read_predictions
from tests.e2e.served import (
    get,
    post,
    server_process,
    service_environ,
    serving,
    wait_until,
    workers_of,
)
from tests.unit.release.releases import parts

pytestmark = pytest.mark.e2e
PLAIN = {"Tenure": 3, "Cashback": 120.5, "Device": "Phone", "City": "Rome"}
CHANGING = {"prediction_id", "latency_ms", "timestamp"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return load_release(write_release(parts(), tmp_path_factory.mktemp("releases")))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, release: Release) -> Iterator[str]:
    """Two workers, a timeout of a second, and the lane open."""
    folder = tmp_path_factory.mktemp("lane")
    options = "services.churn.workers=2 services.churn.traffic.timeout=1"
    environ = service_environ(folder / "home", release, BENTOML_CONFIG_OPTIONS=options)
    with serving(environ, folder / "server.log") as address:
        yield address


def series(url: str, name: str) -> dict[str, float]:
    """Samples of one series by their labels as text."""
    _, text = get(url, "/metrics")
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def total(url: str, name: str, *parts_of_labels: str) -> float:
    samples = series(url, name)
    return sum(v for labels, v in samples.items() if all(p in labels for p in parts_of_labels))


def settled(counts: Callable[[], list[float]]) -> list[float]:
    """Counts that no longer change: those of another worker may be an interval old."""
    found = counts()
    while (now := _later(counts)) != found:
        found = now
    return found


def _later(counts: Callable[[], list[float]]) -> list[float]:
    time.sleep(1.0)
    return counts()


def test_both_ways_give_the_same_fields_and_values(url: str, release: Release) -> None:
    for row in release.golden.rows:
        quick_status, quick = post(url, "/predict", dict(row))
        long_status, long = post(url, "/predict", {"features": dict(row)})
        assert quick_status == long_status == 200
        assert list(quick) == list(long)
        assert {k: v for k, v in quick.items() if k not in CHANGING} == {
            k: v for k, v in long.items() if k not in CHANGING
        }


def test_requests_of_all_workers_are_counted_in_every_series(url: str) -> None:
    route = 'endpoint="/predict"'
    names = ("bentoml_service_request_total", "http_requests_total", "predictions_total")

    def counts() -> list[float]:
        return [total(url, name, *([route] if "request" in name else [])) for name in names]

    before = settled(counts)
    for _ in range(60):
        assert post(url, "/predict", PLAIN)[0] == 200
    assert post(url, "/predict", PLAIN | {"Tenure": 999})[0] == 422

    after = settled(counts)
    assert [now - then for now, then in zip(after, before, strict=True)] == [61, 61, 60]
    timed = total(url, "bentoml_service_request_duration_seconds_count", route)
    assert timed == total(url, "bentoml_service_request_total", route)


@pytest.mark.parametrize("sent", [b"", b"{"])
def test_a_slow_body_meets_the_timeout_and_the_lane_goes_on(url: str, sent: bytes) -> None:
    host, port = urlsplit(url).netloc.split(":")
    before = total(url, "http_requests_total", 'status="504"')
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + sent)
        assert post(url, "/predict", PLAIN)[0] == 200
        assert b" 504 " in slow.recv(4096)
    wait_until(
        lambda: total(url, "http_requests_total", 'status="504"') == before + 1,
        what="counting the timeout",
    )


def test_a_body_in_two_parts_is_answered(url: str) -> None:
    host, port = urlsplit(url).netloc.split(":")
    body = json.dumps(PLAIN).encode()
    for cut in (0, 1, len(body) - 1):
        with socket.create_connection((host, int(port)), timeout=10) as slow:
            length = str(len(body)).encode()
            head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: " + length
            slow.sendall(head + b"\r\n\r\n" + body[:cut])
            time.sleep(0.2)
            slow.sendall(body[cut:])
            assert slow.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_killed_worker_is_replaced(tmp_path: Path, release: Release) -> None:
    options = "services.churn.workers=2"
    environ = service_environ(tmp_path / "home", release, BENTOML_CONFIG_OPTIONS=options)
    with server_process(environ, tmp_path / "server.log") as (url, server):
        wait_until(lambda: len(_workers(url)) == 2, what="both workers")
        serving_now = {worker["pid"] for worker in _workers(url)}
        victim = next(w for w in workers_of(server) if w.pid in serving_now)
        victim.kill()
        wait_until(
            lambda: len({w["pid"] for w in _workers(url)} - {victim.pid}) == 2,
            what="a new worker",
            seconds=40,
        )
        assert {post(url, "/predict", PLAIN)[0] for _ in range(20)} == {200}


def _workers(url: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = get(url, "/health")[1]["workers"]
    except OSError:  # the connection was the dead worker's
        return []
    return found


def test_a_stopped_server_answers_what_it_took_and_has_logged_it(
    tmp_path: Path, release: Release
) -> None:
    environ = service_environ(tmp_path / "home", release)
    answered: list[str] = []
    unfinished: Counter[str] = Counter()
    stop = threading.Event()

    def ask(url: str) -> None:
        while not stop.is_set():
            try:
                status, answer = post(url, "/predict", PLAIN)
            except ConnectionRefusedError:
                return  # it takes no more; that is not an answer lost
            except OSError as error:
                unfinished[type(error).__name__] += 1
                return
            assert status == 200
            answered.append(answer["prediction_id"])

    with server_process(environ, tmp_path / "server.log") as (url, server):
        threads = [threading.Thread(target=ask, args=(url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) > 200, what="traffic")
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
        stop.set()
        for thread in threads:
            thread.join()
    # A connection that was accepted but not read from may be reset; it never got an answer.
    lost = {"BrokenPipeError", "ConnectionResetError", "RemoteDisconnected"}
    assert set(unfinished) <= lost
    folder = tmp_path / "home" / "service" / "shop" / "predictions"
    logged = {prediction.prediction_id for prediction in read_predictions(folder)}
    assert set(answered) <= logged


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"BENTOML_CONFIG_OPTIONS": "services.churn.logging.access.enabled=true"},
            "the fast lane is closed: the access log is on",
        ),
        ({"FEDCHURN_SERVE_FAST_LANE": "false"}, "the fast lane is closed: the settings say so"),
    ],
)
def test_the_lane_steps_aside_for_what_needs_the_whole_stack(
    more: dict[str, str], told: str, tmp_path: Path, release: Release
) -> None:
    log = tmp_path / "server.log"
    with serving(service_environ(tmp_path / "home", release, **more), log) as url:
        status, answer = post(url, "/predict", PLAIN)
        assert status == 200
        assert answer["model_used"] == "champion"
        assert total(url, "bentoml_service_request_total", 'endpoint="/predict"') == 1
    assert told in log.read_text()
    if "BENTOML_CONFIG_OPTIONS" in more:
        assert re.search(r"path=/predict\b.*status=200", log.read_text())


def test_rows_of_concurrent_requests_are_merged_by_adaptive_batching(url: str) -> None:
    answers: list[tuple[int, Any]] = []

    def ask() -> None:
        answers.append(post(url, "/predict/adaptive", {"customers": [PLAIN, PLAIN]}))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 16
    assert all(len(rows) == 2 for _, rows in answers)
    batches = total(url, "bentoml_service_adaptive_batch_size_count")
    assert 1 <= batches < 32
    status, refused = post(url, "/predict/adaptive", {"customers": [PLAIN, {"Tenure": 1}]})
    assert status == 422
    assert refused["errors"][0]["field"] == "customers.1"
    assert "Device is required" in refused["errors"][0]["message"]
