"""Work with a deadline: results, errors, lateness and recovery."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedchurn.serving.fallback.deadline import DeadlineRunner
from tests.unit.serving.models import WAIT_SECONDS


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_result_and_error_come_back() -> None:
    runner = DeadlineRunner(WAIT_SECONDS)
    assert runner.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        runner.run(lambda: 1 // 0)
    assert runner.run(lambda: "still there") == "still there"
    assert runner.num_threads == 1


def test_the_caller_does_not_wait_for_late_work_and_nothing_is_begun_meanwhile() -> None:
    runner = DeadlineRunner(0.02)
    release = threading.Event()
    begun: list[int] = []
    with pytest.raises(TimeoutError, match=r"not done in 0\.02 s"):
        runner.run(lambda: release.wait(WAIT_SECONDS))
    for number in range(50):
        with pytest.raises(TimeoutError, match="earlier work"):
            runner.run(lambda number=number: begun.append(number))
    assert (begun, runner.num_threads, runner.num_overdue) == ([], 1, 1)
    release.set()


def test_it_recovers_when_late_work_returns() -> None:
    runner = DeadlineRunner(0.5)
    release = threading.Event()
    with pytest.raises(TimeoutError):
        runner.run(lambda: release.wait(WAIT_SECONDS))
    release.set()
    wait_until(lambda: runner.num_overdue == 0)
    assert runner.run(lambda: 1) == 1
    assert runner.num_threads == 1


def test_threads_are_bounded_and_waiting_for_one_counts() -> None:
    runner = DeadlineRunner(0.5, max_threads=2)
    release = threading.Event()
    outcomes: list[str] = []
    begun: list[str] = []

    def work() -> None:
        begun.append("begun")
        release.wait(WAIT_SECONDS)

    def ask() -> None:
        try:
            runner.run(work)
            outcomes.append("done")
        except TimeoutError:
            outcomes.append("late")

    callers = [threading.Thread(target=ask) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(WAIT_SECONDS)
    assert outcomes == ["late"] * 8
    assert runner.num_threads == 2
    release.set()
    wait_until(lambda: runner.num_overdue == 0)
    assert runner.run(lambda: "recovered") == "recovered"
    assert begun == ["begun"] * 2, "work that was given up while it waited is not begun later"


def test_many_callers_each_get_their_own_result() -> None:
    runner = DeadlineRunner(WAIT_SECONDS, max_threads=3)
    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(lambda n: runner.run(lambda: n * n), range(2000)))
    assert found == [n * n for n in range(2000)]
    assert 1 <= runner.num_threads <= 3


def test_threads_end_with_the_runner() -> None:
    runner = DeadlineRunner(WAIT_SECONDS)
    thread = runner.run(threading.current_thread)
    assert thread.is_alive()
    del runner
    gc.collect()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
