"""A served command never outlives whoever started it."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

DEADLINE_SECONDS = 30
SAYS_ITS_PID = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
# Starts a tied process, and waits to be killed.
STARTER = """
import subprocess, sys, time
tied = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
time.sleep(60)
"""


def tied(*command: str) -> list[str]:
    return [sys.executable, "-m", "fedchurn.loop.tied_process", *command]


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_commands(code: int) -> None:
    command = tied(sys.executable, "-c", f"raise SystemExit({code})")
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.wait(DEADLINE_SECONDS) == code


def test_closing_the_input_ends_the_command() -> None:
    command = tied(sys.executable, "-c", SAYS_ITS_PID)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        pid = int(process.stdout.readline())
        process.stdin.close()
        process.wait(DEADLINE_SECONDS)
    assert not psutil.pid_exists(pid)


def test_a_killed_starter_leaves_nothing_behind() -> None:
    command = [sys.executable, "-c", STARTER, *tied(sys.executable, "-c", SAYS_ITS_PID)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        served = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
        served.wait(DEADLINE_SECONDS)
    assert not served.is_running()
