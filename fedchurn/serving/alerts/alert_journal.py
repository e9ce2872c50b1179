"""Alerts that came from outside, kept as they came and each one once, one JSON object a line.

Alertmanager tells an alert again whenever its group changes, and every twelve hours while it lasts.
What tells two events apart is group, fingerprint, start and status, so a beginning and its end are
two lines, and however often they are told.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fedchurn.errors import ReleaseError

FILE = "drift-alerts.jsonl"
_LOCK_SECONDS = 10.0
_NUM_HEAD_BYTES = 64  # of a first line: its number and time, so no two files begin alike


@dataclass(frozen=True)
class AlertsKept:
    """What became of the alerts of one message.

    Attributes:
        num_new: kept now.
        num_resolved: of those, ends of alerts.
        num_duplicates: kept before.
    """

    num_new: int
    num_resolved: int
    num_duplicates: int


class AlertJournal:
    """Appends alerts to ``folder/drift-alerts.jsonl``; several workers may share it.

    A file beyond ``max_bytes`` becomes ``drift-alerts.1.jsonl`` in place of the one before, so the
    disk holds at most two, and what is in neither is not known any more.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 8 * 2**20) -> None:
        self.path = folder / FILE
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._alone = FileLock(folder / ".alerts.lock", timeout=_LOCK_SECONDS)
        self._keys: set[str] = set()
        self._older_keys: set[str] = set()
        self._head, self._num_bytes_read, self._number = b"", 0, 0

    @property
    def num_received(self) -> int:
        """Alerts that were ever kept, whichever worker took them."""
        with self._lock:
            self._catch_up()
            return self._number

    def add(self, message: Mapping[str, Any], time: str) -> AlertsKept:
        """Keep those alerts that are not kept yet; returns when the disk has them.

        Args:
            message: as Alertmanager sends it; ``alerts`` is a list of objects.
            time: when it came, ISO 8601.

        Raises:
            ReleaseError: the disk does not take them; none is kept, or they are told again.
        """
        told = message["alerts"]
        with self._lock, self._writing():
            self._catch_up()
            new = {
                key: alert
                for key, alert in ((_key(message, alert), alert) for alert in told)
                if key not in self._keys and key not in self._older_keys
            }
            if new:
                self._append(new, message, time)
        num_resolved = sum(_status(message, alert) == "resolved" for alert in new.values())
        return AlertsKept(len(new), num_resolved, len(told) - len(new))

    @property
    def _older(self) -> Path:
        return self.path.with_suffix(".1.jsonl")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Nobody else writes, and errors of the disk have their name."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone:
                yield
        except (OSError, Timeout) as error:
            reason = "another worker holds the file" if isinstance(error, Timeout) else error
            raise ReleaseError(
                f"the alert cannot be kept: {getattr(error, 'strerror', None) or reason}",
                where=str(self.path),
                next_step="make FEDCHURN_HOME a folder that the service may write",
            ) from error

    def _append(
        self, new: Mapping[str, Mapping[str, Any]], message: Mapping[str, Any], time: str
    ) -> None:
        facts = {name: message[name] for name in ("groupKey", "receiver") if name in message}
        lines = [
            json.dumps({"number": i, "time": time, "key": key, **facts, "alert": alert})
            for i, (key, alert) in enumerate(new.items(), self._number + 1)
        ]
        if _size(self.path) > self._max_bytes:
            self.path.replace(self._older)
        _append_whole(self.path, "".join(f"{line}\n" for line in lines).encode())
        self._catch_up()

    def _catch_up(self) -> None:
        """Read what was written since the last look, by this worker or another."""
        head = _head(self.path)
        if head != self._head:
            if self._head and _head(self._older) == self._head:
                self._read(self._older)
                self._older_keys = self._keys
            else:  # the first look, or files were exchanged twice since
                self._keys, self._num_bytes_read = set(), 0
                self._read(self._older)
                self._older_keys = self._keys
            self._keys, self._num_bytes_read, self._head = set(), 0, head
        self._read(self.path)

    def _read(self, path: Path) -> None:
        for line in _whole_lines(path, self._num_bytes_read):
            self._num_bytes_read += len(line)
            try:
                entry = json.loads(line)
                self._keys.add(str(entry["key"]))
                self._number = max(self._number, int(entry["number"]))
            except (ValueError, KeyError, TypeError):
                continue  # torn by a full disk, or of an earlier version


def _key(message: Mapping[str, Any], alert: Mapping[str, Any]) -> str:
    """Short digest of what makes two alerts the same event."""
    # Alertmanager always sends a fingerprint; labels are what it is made of.
    identity = alert.get("fingerprint") or alert.get("labels")
    facts = [message.get("groupKey"), identity, alert.get("startsAt"), _status(message, alert)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _status(message: Mapping[str, Any], alert: Mapping[str, Any]) -> Any:
    return alert.get("status", message.get("status"))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_NUM_HEAD_BYTES)
    except OSError:
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _whole_lines(path: Path, start_byte: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(start_byte)
            for line in file:
                if line.endswith(b"\n"):
                    yield line
    except OSError:
        return


def _append_whole(path: Path, content: bytes) -> None:
    """Whole lines at the end of the file, on disk; half a line of before gets an end of its own."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            content = b"\n" + content
        if os.write(handle, content) != len(content):
            raise OSError("the disk is full")
        os.fsync(handle)
    finally:
        os.close(handle)
