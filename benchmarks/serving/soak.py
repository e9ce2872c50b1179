"""A minute at half the peak rate, with reloads all the time and a worker killed in the middle.

Two workers, two releases. Every answer is compared with what the release that it names gives,
computed beforehand without a server. Only requests that the killed worker held may fail.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.demands import Demand
from benchmarks.serving.http_client import Client
from benchmarks.serving.material import Material, expected_probabilities
from benchmarks.serving.servers import OURS, Running, running
from benchmarks.serving.soak_load import LoadReport, run_load
from benchmarks.serving.wrk import run_wrk

NUM_WORKERS = 2
PEAK_CONNECTIONS, NUM_CONNECTIONS = 64, 32
PEAK_SECONDS = 5.0
RELOAD_SECONDS = 5.0
TWO_WORKERS = replace(
    OURS, environ={"BENTOML_CONFIG_OPTIONS": f"services.churn.workers={NUM_WORKERS}"}
)


def measure(material: Material, folder: Path, seconds: float = 60.0) -> dict[str, Any]:
    """Run it and count; JSON-ready."""
    bodies = material.bodies.read_bytes().splitlines()
    expected = {
        release.release_id: expected_probabilities(release, material.rows)
        for release in (material.release, material.other)
    }
    with running(TWO_WORKERS, material, folder) as server:
        _wait_for_workers(server)
        peak = run_wrk(server.url, material.bodies, PEAK_CONNECTIONS, PEAK_SECONDS).per_second
        disturbed = _Disturbance(server, list(expected), seconds)
        disturbed.start()
        report = run_load(server.port, bodies, expected, peak / 2, NUM_CONNECTIONS, seconds)
        disturbed.join()
        _wait_for_workers(server)
        return _record(report, disturbed, peak, seconds)


def demands(record: dict[str, Any]) -> list[Demand]:
    """Nothing lost but by the kill, nothing wrong, and the disturbances did happen."""
    reloads = record["num_reloads_wanted"]
    return [
        Demand("requests failed, but for those of the killed worker", record["failed"], at_most=0),
        Demand("answers that are wrong", record["wrong"], at_most=0),
        Demand("reloads that failed", record["failed_reloads"], at_most=0),
        Demand("reloads done", record["num_reloads"], at_least=reloads),
        Demand("releases that answered", len(record["answers"]), at_least=2),
        Demand("workers killed", record["num_killed"], at_least=1),
        # The client checks every answer, on the cores that wrk had left to the workers.
        Demand("answers per second to half the peak", record["rate_reached"], at_least=0.75),
    ]


def table(record: dict[str, Any]) -> list[str]:
    """The figures as lines of text."""
    return [f"{name:24}{value}" for name, value in record.items()]


class _Disturbance(threading.Thread):
    """Reloads now and then, and kills one worker in the middle."""

    def __init__(self, server: Running, release_ids: list[str], seconds: float) -> None:
        super().__init__(name="disturbance")
        self._server, self._release_ids, self._seconds = server, release_ids, seconds
        self.victim_ports: frozenset[int] = frozenset()
        self.killed_seconds = 0.0  # time.monotonic()
        self.num_reloads = 0
        self.failures: list[str] = []
        self.reload_ms: list[float] = []

    @property
    def num_wanted(self) -> int:
        """Reloads that fit in."""
        return int((self._seconds - 1.0) / RELOAD_SECONDS)

    def run(self) -> None:
        """Follow the timetable."""
        begun = time.monotonic()
        due = [(RELOAD_SECONDS * (n + 1), n) for n in range(self.num_wanted)]
        # Between two reloads: what a reload does when its worker dies is another question.
        due.append((self._seconds / 2 + RELOAD_SECONDS / 2, -1))
        for offset, number in sorted(due):
            time.sleep(max(0.0, begun + offset - time.monotonic()))
            if number < 0:
                self._kill()
            else:
                self._reload(self._release_ids[(number + 1) % 2])

    def _kill(self) -> None:
        victim = self._server.workers[0]
        held = victim.net_connections("tcp")
        ports = [c.raddr.port for c in held if c.raddr and c.status == psutil.CONN_ESTABLISHED]
        self.victim_ports = frozenset(ports)
        self.killed_seconds = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)

    def _reload(self, release_id: str) -> None:
        begun = time.monotonic()
        try:
            client = Client(self._server.port)
            status, answer = client.post(
                "/reload-model", json.dumps({"release": release_id}).encode()
            )
            client.close()
        except OSError as error:
            self.failures.append(f"to {release_id}: {error!r}")
            return
        if status == 200:
            self.num_reloads += 1
            self.reload_ms.append((time.monotonic() - begun) * 1000.0)
        else:
            self.failures.append(f"to {release_id}: {status} {answer[:300]!r}")


def _wait_for_workers(server: Running, deadline_seconds: float = 30.0) -> None:
    """Until every worker says that it serves."""
    end = time.monotonic() + deadline_seconds
    while time.monotonic() < end:
        if len(server.workers) >= NUM_WORKERS and all(map(_listens, server.workers)):
            return
        time.sleep(0.2)
    raise RuntimeError(f"there are not {NUM_WORKERS} workers after {deadline_seconds} s")


def _listens(worker: psutil.Process) -> bool:
    """Whether a worker has come to the end of its start: its threads are there."""
    try:
        return worker.num_threads() > 2
    except psutil.NoSuchProcess:
        return False


def _record(
    report: LoadReport, disturbed: _Disturbance, peak: float, seconds: float
) -> dict[str, Any]:
    by_kill = [
        f
        for f in report.failures
        if f.local_port in disturbed.victim_ports
        and 0 <= f.at_seconds - disturbed.killed_seconds < 2
    ]
    others = [f for f in report.failures if f not in by_kill]
    return {
        "peak_per_second": round(peak),
        "asked_per_second": round(peak / 2),
        "rate_reached": round(report.num_answered / (seconds * peak / 2), 3),
        "num_answered": report.num_answered,
        "answers": dict(report.answers),
        "p50_ms": round(report.percentile_ms(0.5), 2),
        "p99_ms": round(report.percentile_ms(0.99), 2),
        "max_ms": round(report.percentile_ms(1.0), 2),
        "failed_by_kill": len(by_kill),
        "failed": len(others),
        "wrong": report.num_wrong,
        "num_killed": int(disturbed.killed_seconds > 0),
        "connections_of_killed": len(disturbed.victim_ports),
        "num_reloads": disturbed.num_reloads,
        "num_reloads_wanted": disturbed.num_wanted,
        "failed_reloads": len(disturbed.failures),
        "slowest_reload_ms": round(max(disturbed.reload_ms, default=0.0), 1),
        "told": [str(f) for f in others[:5]] + report.told[:5] + disturbed.failures[:5],
    }
