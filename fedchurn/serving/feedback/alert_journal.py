"""Alerts that came from outside, kept as they came, one JSON object a line."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedchurn.errors import ReleaseError

FILE = "drift-alerts.jsonl"


class AlertJournal:
    """Appends alerts to ``folder/drift-alerts.jsonl``; several workers may share it.

    A file beyond ``max_bytes`` becomes ``drift-alerts.1.jsonl`` in place of the one before, so the
    disk holds at most two.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 8 * 2**20) -> None:
        self.path = folder / FILE
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    @property
    def num_received(self) -> int:
        """Messages that are kept, whichever worker took them; some milliseconds at most."""
        return _num_lines(self.path) + _num_lines(self._older)

    @property
    def _older(self) -> Path:
        return self.path.with_suffix(".1.jsonl")

    def add(self, alert: Mapping[str, Any]) -> None:
        """Keep one alert; returns when the disk has it.

        Raises:
            ReleaseError: the disk does not take it; it is not kept.
        """
        line = json.dumps(alert).encode() + b"\n"
        with self._lock:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._make_room()
                _append(self.path, line)
            except OSError as error:
                raise ReleaseError(
                    f"the alert cannot be kept: {error.strerror or error}",
                    where=str(self.path),
                    next_step="make FEDCHURN_HOME a folder that the service may write",
                ) from error

    def _make_room(self) -> None:
        if self.path.exists() and self.path.stat().st_size > self._max_bytes:
            self.path.replace(self._older)


def _num_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


def _append(path: Path, line: bytes) -> None:
    """One write to the end of the file, so lines of several workers do not mix."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if os.write(handle, line) != len(line):
            raise OSError("the disk is full")
        os.fsync(handle)
    finally:
        os.close(handle)
