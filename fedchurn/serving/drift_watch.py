"""What a worker shows of drift that others found: verdicts come as files, and each counts once.

The runner's windows are counted from its journal, for the file with the newest verdict may be
written several times between two looks. Whichever worker first makes the file named after a window
counts it; so restarts and several workers count nothing twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fedchurn.serving.drift_file import FILE, LAST_RUN, VERDICTS, read_newest, watch_folder
from fedchurn.serving.reload.files import read_record
from fedchurn.serving.serving_settings import ServingSettings

COUNTED = "counted"
LEVELS = {"none": 0, "warning": 1, "drift": 2}
_TAIL_BYTES = 2**18  # some 300 windows: many more than come between two looks
_MAX_COUNTED = 2000

Signature = tuple[int, int, int] | None


@dataclass(frozen=True)
class DriftSeen:
    """What is known now.

    Attributes:
        scores: drift score by column in the newest verdict about the release that answers.
        level: 0 none, 1 warning, 2 drift, of that verdict; 0 without one.
        checked_seconds: Unix time of the newest check or look of the runner; 0 before the first.
        drifted: columns that drifted in windows which this worker is to count, one by one.
    """

    scores: Mapping[str, float] = field(default_factory=dict)
    level: int = 0
    checked_seconds: float = 0.0
    drifted: tuple[str, ...] = ()


class DriftWatch:
    """Looks at the files; three looks at their times where nothing has changed.

    Args:
        settings: of the service.
        release_id: gives the release that answers now.
    """

    def __init__(self, settings: ServingSettings, release_id: Callable[[], str]) -> None:
        self._service = settings.service_folder
        self._watch = watch_folder(settings.home, settings.contract)
        self._release_id = release_id
        self._told = _Cached(self._service / FILE, lambda: read_newest(self._service))
        last_run = self._watch / LAST_RUN
        self._run = _Cached(last_run, lambda: _record(last_run))
        self._journal: Signature = None
        self._seen: set[str] = set()

    def look(self) -> DriftSeen:
        """What is known now; windows are handed out for counting only once, over all workers."""
        told, run = self._told.read(), self._run.read()
        times = (_seconds(told.get("timestamp")), _seconds(run.get("time")))
        is_ours = told.get("release") == self._release_id()
        return DriftSeen(
            scores=_scores(told) if is_ours else {},
            level=_level(told) if is_ours else 0,
            checked_seconds=max(times),
            drifted=tuple(self._to_count()),
        )

    def _to_count(self) -> list[str]:
        path = self._watch / VERDICTS
        now = _signature(path)
        if now is None or now == self._journal:
            return []
        found: list[str] = []
        for window in _newest_lines(path):
            name = str(window.get("window_id"))
            if name not in self._seen:
                self._seen.add(name)
                found += window.get("drifted", ()) if self._claim(name) else ()
        self._journal = now
        return found

    def _claim(self, window_id: str) -> bool:
        """Whether this worker counts the window: nobody else has yet."""
        folder = self._service / COUNTED
        if not window_id.isalnum():
            return False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(folder / window_id, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except OSError:  # another worker has it, or nobody can
            return False
        _forget_old(folder)
        return True


class _Cached:
    """A file's content, read again when the file has changed."""

    def __init__(self, path: Path, read: Callable[[], dict[str, Any]]) -> None:
        self._path = path
        self._read = read
        self._signature: Signature = None
        self._content: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        now = _signature(self._path)
        if now != self._signature or now is None:
            self._content = self._read() if now else {}
            self._signature = now
        return self._content


def _signature(path: Path) -> Signature:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _record(path: Path) -> dict[str, Any]:
    try:
        return read_record(path) or {}
    except ValueError:
        return {}


def _scores(told: Mapping[str, Any]) -> dict[str, float]:
    found = told.get("drift_scores")
    known = found.items() if isinstance(found, Mapping) else ()
    return {str(name): float(score) for name, score in known if isinstance(score, int | float)}


def _level(told: Mapping[str, Any]) -> int:
    """Of columns; what speaks beside them is a warning at most here (labels have metrics of their
    own)."""
    verdict = told.get("verdict")
    of_columns = verdict.get("verdict") if isinstance(verdict, Mapping) else None
    beside = told.get("overall") in ("warning", "drift")
    return max(LEVELS.get(str(of_columns), 0), int(beside))


def _seconds(text: object) -> float:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(str(text)).timestamp()
    return 0.0


def _newest_lines(path: Path) -> list[dict[str, Any]]:
    """Entries of the journal's last lines; what cannot be read is passed over."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    found = []
    for line in lines[1 if size > _TAIL_BYTES else 0 : -1]:  # the last one is not whole yet
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)["entry"]
            if isinstance(entry, dict):
                found.append(entry)
    return found


def _forget_old(folder: Path) -> None:
    with suppress(OSError):
        marks = list(folder.iterdir())
        if len(marks) > _MAX_COUNTED:
            oldest = sorted(marks, key=lambda mark: mark.stat().st_mtime)
            for mark in oldest[: _MAX_COUNTED // 2]:
                mark.unlink(missing_ok=True)
