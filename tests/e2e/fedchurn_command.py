"""Runs the real ``fedchurn`` command in a process of its own, as a person would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 400
COMMAND = str(Path(sys.executable).with_name("fedchurn"))
# What a developer's shell may hold must not decide a test.
FOREIGN = ("FEDCHURN_HOME", "MLFLOW_", "PREFECT_", "FLWR_", "PYTHONWARNINGS")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def last_object(self) -> dict[str, Any]:
        """The JSON object in the last line of output."""
        answer: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return answer

    def __str__(self) -> str:
        return f"fedchurn {' '.join(self.arguments)}\ncode {self.code}\n{self.out}\n{self.err}"


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of the tools."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    return {**kept, "COLUMNS": "200", **more}


def fedchurn(folder: Path, *arguments: str, **environ: str) -> Ended:
    """``fedchurn ARGUMENTS`` in ``folder``."""
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=folder,
        env=clean_environment(**environ),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return Ended(arguments, done.returncode, done.stdout, done.stderr)


def assert_told(ended: Ended, code: int, *words: str) -> None:
    """The command failed with ``code``, in words for people: value, place and next step."""
    assert ended.code == code, str(ended)
    for word in words:
        assert word in ended.err, f"{word!r} is not in:\n{ended}"
    assert "\n  next: " in ended.err, str(ended)
    assert ended.err.startswith("fedchurn: "), str(ended)  # no chatter of libraries before it
    assert "Traceback" not in ended.err + ended.out, str(ended)
