"""Processes that end when we do, however that comes about; see ``tied_process``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fedchurn.loop.tied_process import GRACE_SECONDS

NUM_LINES = 8


class TiedChild:
    """One running command.

    Args:
        name: for people.
        command: program and arguments.
        log: takes its output, after what is there.
        environ: its environment.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environ: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fedchurn.loop.tied_process", *command],
                env=dict(environ),
                stdin=subprocess.PIPE,  # nothing is written to it; see ``tied_process``
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None

    def last_lines(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-NUM_LINES:])

    def end(self) -> None:
        """SIGTERM, SIGKILL if that does not help; returns when it is over."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(GRACE_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
