"""Worker processes that watch the same home swap together, and know of each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fedchurn.serving.reload.worker_states import WorkerState, worker_states, workers_report
from tests.unit.release.releases import parts
from tests.unit.serving.homes import flip_one_bit, point, released, reloader_of, settings_of

PROJECT = Path(__file__).resolve().parents[3]
DEADLINE_SECONDS = 60
WORKER = """
import sys
from fedchurn.serving.experiment.experiment import Experiment
from fedchurn.serving.reload.watch import Watcher
from tests.unit.serving.homes import reloader_of, settings_of
settings = settings_of(sys.argv[1], reload_interval_seconds=float(sys.argv[2]))
reloader = reloader_of(settings)
watcher = Watcher(settings, reloader, Experiment(reloader.live))
watcher.start()
for line in sys.stdin:
    result = reloader.reload(line.strip() or None)
    watcher.look()
    print(result.status, flush=True)
watcher.stop()
"""


@contextmanager
def _worker(home: Path, interval_seconds: float) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(home), str(interval_seconds)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _two_workers(home: Path, interval_seconds: float = 0.05) -> Iterator[list[Any]]:
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(home, interval_seconds)) for _ in range(2)]
        _wait(home, lambda states: len(states) == 2)
        yield workers


def _wait(home: Path, holds: Callable[[tuple[WorkerState, ...]], bool]) -> None:
    folder = settings_of(home).workers_folder
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds(worker_states(folder)):
        assert time.monotonic() < deadline, worker_states(folder)
        time.sleep(0.02)


def _all_serve(release: Path) -> Callable[[tuple[WorkerState, ...]], bool]:
    return lambda states: [state.release for state in states] == [release.name] * 2


def _ask(worker: Any, release: str = "") -> str:
    worker.stdin.write(release + "\n")
    worker.stdin.flush()
    return str(worker.stdout.readline().strip())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = released(tmp_path)
    point(tmp_path, folder)
    return folder


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return released(tmp_path, parts(seed=8))


def test_two_processes_follow_promotions_and_calls(tmp_path: Path, old: Path, new: Path) -> None:
    with _two_workers(tmp_path) as (first, second):
        point(tmp_path, new)
        _wait(tmp_path, _all_serve(new))
        assert _ask(first, old.name) == "reloaded"
        _wait(tmp_path, _all_serve(old))
        assert _ask(second) == "reloaded"
        _wait(tmp_path, _all_serve(new))
        states = worker_states(settings_of(tmp_path).workers_folder)
        assert workers_report(states, new.name)["message"] == f"2 of 2 workers serve {new.name}"
        first.send_signal(signal.SIGKILL)
        _wait(tmp_path, lambda states: [s.pid for s in states] == [second.pid])
        second.communicate("", timeout=DEADLINE_SECONDS)
        assert second.returncode == 0
    assert worker_states(settings_of(tmp_path).workers_folder) == ()


def test_a_call_reaches_workers_that_do_not_look_by_themselves(
    tmp_path: Path, old: Path, new: Path
) -> None:
    with _two_workers(tmp_path, interval_seconds=0) as (first, _):
        point(tmp_path, new)
        assert _ask(first) == "reloaded"
        _wait(tmp_path, _all_serve(new))


def test_a_damaged_promotion_changes_no_worker_and_a_new_one_does_as_they_do(
    tmp_path: Path, old: Path, new: Path
) -> None:
    with _two_workers(tmp_path) as (first, _):
        flip_one_bit(new / "golden.json")
        point(tmp_path, new)
        _wait(tmp_path, lambda states: all(s.reload_fault for s in states))
        _wait(tmp_path, _all_serve(old))
        first.kill()
        replacement = reloader_of(settings_of(tmp_path))
        assert replacement.live.state.champion.release_id == old.name
