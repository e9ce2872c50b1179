"""Several workers, real processes that share one folder of metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fedchurn.serving.metrics.prometheus_workers import forget_dead_workers, resident_bytes

PROJECT = Path(__file__).resolve().parents[3]


class Worker:
    """One process with metrics of its own."""

    def __init__(self, folder: Path, releases: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.serving.metrics_worker", str(releases)],
            cwd=PROJECT,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def ask(self, *command: object) -> Any:
        """The answer to a command of ``metrics_worker``."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def value(self, name: str, **labels: str) -> float:
        """Sum of the series of ``name`` that have ``labels``, over all workers; one at least."""
        families = text_string_to_metric_families(self.ask("exposition"))
        samples = [sample for family in families for sample in family.samples]
        found = [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, f"no series {name} {labels}"
        return sum(found)

    def end(self) -> None:
        """Kill it, as -9 does, and wait until it is gone."""
        self.process.kill()
        self.process.communicate()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    """Starts workers; none is left at the end."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    with ExitStack() as stack:

        def started() -> Worker:
            worker = Worker(folder, tmp_path / "releases")
            stack.callback(worker.end)
            return worker

        yield started


def test_workers_add_up_and_survive_one_another(start: Callable[[], Worker]) -> None:
    one, two = start(), start()
    one.ask("predict", 3, {})
    two.ask("predict", 2, {"model_used": "rules", "fallback_reason": "timeout"})
    assert one.value("predictions_total") == 5
    assert one.value("fedchurn_predictions_total", model_used="rules") == 2
    assert two.value("feature_tenure_count") == 5
    assert two.value("fedchurn_prediction_latency_seconds_bucket", le="0.25") == 5
    counts = one.ask("fallbacks")
    assert (counts["total_predictions"], counts["fallback_count"]) == (5, 2)
    assert counts["fallback_reasons"]["timeout"] == 2

    one.ask("release", "7")
    two.ask("release", "7")
    two.ask("release", "8")
    assert one.value("fedchurn_release_info", version="7") == 1  # one of them still answers with it
    assert one.value("fedchurn_release_info", version="8") == 1
    one.ask("release", "8")
    assert one.value("fedchurn_release_info", version="7") == 0
    assert one.value("fedchurn_release_info", version="8") == 1
    assert one.value("model_version") == 8

    one.ask("golden", True)
    two.ask("golden", True)
    assert one.value("fedchurn_golden_rows_ok") == 1
    two.ask("golden", False)
    assert one.value("fedchurn_golden_rows_ok") == 0

    one.ask("drift", "Tenure", 0.5)
    one.ask("waiting", 1)
    two.ask("waiting", 2)
    assert one.value("http_requests_in_progress") == 3
    assert one.value("process_resident_memory_bytes", pid=str(two.process.pid)) > 2**20

    two.end()
    one.ask("refresh")
    assert one.value("http_requests_in_progress") == 1
    assert one.value("fedchurn_golden_rows_ok") == 1
    assert one.value("predictions_total") == 5
    three = start()
    assert three.value("data_drift_score", feature="Tenure") == 0.5
    assert three.value("model_version") == 8
    assert three.value("model_loaded") == 0  # the new worker has none yet
    three.ask("release", "8")
    assert three.value("model_loaded") == 1
    three.ask("predict", 1, {})
    assert one.value("predictions_total") == 6


def test_resident_memory_of_this_process() -> None:
    measured = resident_bytes()
    assert measured is None or 2**20 < measured < 2**40


def test_two_workers_may_forget_a_dead_one_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    left = tmp_path / f"gauge_livesum_{dead.pid}.db"
    left.touch()
    remove = os.remove

    def too_late(path: str) -> None:
        remove(path)  # by the other worker
        remove(path)

    monkeypatch.setattr(os, "remove", too_late)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    forget_dead_workers()
    assert not left.exists()
