"""Commands that a drill runs to their end, as a person would in a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Ended:
    """A command that has ended; its output lies in ``log``."""

    code: int
    output: str
    log: Path

    @property
    def last_object(self) -> Any:
        """The JSON in the last line of output.

        Raises:
            ValueError: there is none.
        """
        lines = self.output.splitlines()
        return json.loads(lines[-1] if lines else "")


class Commands:
    """Runs commands in sessions of their own, and ends those under way when it is closed.

    Args:
        environ: their environment.
        folder: where they run.
        logs: where their output goes.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path, logs: Path) -> None:
        self.environ = dict(environ)
        self._folder = folder
        self._logs = logs
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(self, name: str, command: Sequence[str], *, timeout_seconds: float) -> Ended:
        """Run a command; both outputs go to one log.

        Raises:
            TimeoutError: it took too long, and was ended.
            InterruptedError: the drill ends.
        """
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = self._start(command, output.fileno())
            try:
                code = process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"{name} took longer than {timeout_seconds:g} s") from None
            finally:
                _end(process)
                with self._lock:
                    self._running.discard(process)
        return Ended(code, log.read_text(errors="replace"), log)

    def _start(self, command: Sequence[str], output: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise InterruptedError("the drill ends")
            process = subprocess.Popen(
                list(command),
                cwd=self._folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def close(self) -> None:
        """End what is under way; nothing starts any more."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and everything in its session; it is waited for."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
