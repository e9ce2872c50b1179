"""Processes are stopped whole, and never a stranger."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import psutil

from infra import processes
from infra.processes import Started

WITH_GRANDCHILD = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleep, start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def _start(tmp_path: Path, code: str) -> Started:
    command = [sys.executable, "-c", code]
    log = tmp_path / "one.log"
    started = processes.start(
        "one", command, mark=str(tmp_path), log=log, cwd=tmp_path, environ=os.environ
    )
    assert processes.wait_until(lambda: log.stat().st_size > 0, deadline_seconds=30)
    return started


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_stop_reaches_a_grandchild_in_its_own_session(tmp_path: Path) -> None:
    started = _start(tmp_path, WITH_GRANDCHILD)
    grandchild = int(Path(started.log).read_text())
    assert processes.is_alive(started)
    processes.stop(started, grace_seconds=10)
    assert not processes.is_alive(started)
    assert not _runs(grandchild)


def test_stop_kills_what_ignores_sigterm(tmp_path: Path) -> None:
    started = _start(tmp_path, DEAF)
    processes.stop(started, grace_seconds=0.2)
    assert processes.wait_until(lambda: not _runs(started.pid), deadline_seconds=10)


def test_a_recycled_pid_is_left_alone(tmp_path: Path) -> None:
    stranger = _start(tmp_path, DEAF)
    record = replace(stranger, born_seconds=stranger.born_seconds - 3600, mark="somebody else")
    assert not processes.is_alive(record)
    processes.stop(record, grace_seconds=0.2)
    assert processes.is_alive(stranger)
    processes.stop(stranger, grace_seconds=0.2)


def test_the_last_log_is_kept(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("yesterday")
    started = _start(tmp_path, "print('today')")
    processes.stop(started, grace_seconds=10)
    assert (tmp_path / "one.log.old").read_text() == "yesterday"
    assert processes.last_lines(tmp_path / "one.log", 1) == "today"


def test_wait_until_gives_up_at_the_deadline() -> None:
    assert processes.wait_until(lambda: True, deadline_seconds=0)
    assert not processes.wait_until(lambda: False, deadline_seconds=0)
