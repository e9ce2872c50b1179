"""Append-only files of one worker, in a folder that several workers share.

A file's name is KIND-TIME-PID-START-NUMBER.jsonl: names sort by the time of the first line, and no
two workers ever have the same. While it is open its worker holds a lock on it (``flock``), which
the kernel gives back however the worker ends; so others know a closed file from an open one without
knowing who still lives, even across containers.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

STAMP = "%Y%m%dT%H%M%S.%fZ"
_NEW = ".new-"
_NEW_SECONDS = 60.0
_SKEW_SECONDS = 3600.0  # by which clocks of several machines may differ
DISK_FULL = "disk_full"
NOT_WRITABLE = "not_writable"
IO_ERROR = "io_error"
_REASONS = {
    DISK_FULL: (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    NOT_WRITABLE: (
        *(errno.EACCES, errno.EPERM, errno.EROFS),
        *(errno.ENOENT, errno.ENOTDIR, errno.EEXIST),
    ),
}


def reason_of(error: OSError) -> str:
    """``disk_full``, ``not_writable`` or ``io_error``."""
    found = (reason for reason, numbers in _REASONS.items() if error.errno in numbers)
    return next(found, IO_ERROR)


def _stamp(time_seconds: float) -> str:
    return datetime.fromtimestamp(time_seconds, UTC).strftime(STAMP)


class FileNames:
    """Names of one worker's files."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._start = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def new(self, time_seconds: float) -> str:
        """The next name, for a file whose first line is of ``time_seconds`` (Unix time)."""
        number = next(self._numbers)
        return f"{self.kind}-{_stamp(time_seconds)}-{os.getpid()}-{self._start}-{number:06d}.jsonl"


class LineFile:
    """An open file that always ends with a whole line, as far as this process can help it.

    Args:
        path: file to begin.
        header: its first line, newline included.

    Raises:
        OSError: there is no room, or the folder cannot be written.
    """

    def __init__(self, path: Path, header: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        self.path = path
        self.size_bytes = 0
        self.is_broken = False
        new = path.with_name(_NEW + path.name)
        self._descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o640)
        try:
            # Locked and headed before it gets the name under which others look for it.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.append(header)
            new.rename(path)
        except OSError:
            new.unlink(missing_ok=True)
            os.close(self._descriptor)
            raise

    def append(self, lines: bytes, *, sync: bool = False) -> None:
        """Add whole lines.

        Args:
            lines: ends with a newline.
            sync: return when the disk has them (they survive a loss of power).

        Raises:
            OSError: the lines up to ``size_bytes`` were added, with ``sync`` none; those were not
                taken back, since somebody may have read them. If even that is unsure,
                ``is_broken`` is set, and the file must not be written any more.
        """
        written = 0
        view = memoryview(lines)
        try:
            while written < len(lines):
                written += os.write(self._descriptor, view[written:])
            if sync:
                os.fsync(self._descriptor)
        except OSError:
            self.is_broken = True
            whole = 0 if sync else lines.rfind(b"\n", 0, written) + 1
            os.ftruncate(self._descriptor, self.size_bytes + whole)
            self.size_bytes += whole
            self.is_broken = False
            raise
        self.size_bytes += len(lines)

    @property
    def is_lost(self) -> bool:
        """Whether what is written here would reach nobody: broken, or deleted by somebody."""
        return self.is_broken or os.fstat(self._descriptor).st_nlink == 0

    def close(self) -> None:
        """Close it; from now on it may be deleted when room is needed."""
        os.close(self._descriptor)


def log_paths(folder: Path, kind: str) -> list[Path]:
    """Files of a kind, all workers', oldest first; none when there is no folder."""
    return sorted(folder.glob(f"{kind}-*.jsonl"))


def is_open(path: Path) -> bool:
    """Whether a living worker writes the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def delete_oldest(folder: Path, kind: str, *, total_bytes: int, file_bytes: int) -> int:
    """Delete closed files, oldest first, until all files fit ``total_bytes`` for good.

    An open file counts with the ``file_bytes`` that it may yet reach, so that the sum stays below
    until the next file is begun, whoever begins it. Called after a file was begun, when its name is
    there for others to see.

    Returns:
        How many files were deleted.
    """
    _delete_unfinished(folder)
    closed: list[tuple[Path, int]] = []
    num_bytes = 0
    # A clock that was far ahead once must not keep its files for ever: those count as oldest.
    ahead = f"{kind}-{_stamp(time.time() + _SKEW_SECONDS)}"
    for path in sorted(log_paths(folder, kind), key=lambda path: path.name <= ahead):
        size = _size(path)
        if is_open(path):
            size = max(size, file_bytes)
        else:
            closed.append((path, size))
        num_bytes += size
    num_deleted = 0
    for path, size in closed:
        if num_bytes <= total_bytes:
            break
        with suppress(FileNotFoundError):  # another worker was quicker
            path.unlink()
            num_deleted += 1
        num_bytes -= size
    return num_deleted


def _delete_unfinished(folder: Path) -> None:
    """Remove what a worker left that was killed in the middle of beginning a file."""
    for path in folder.glob(f"{_NEW}*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _NEW_SECONDS:
                path.unlink()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
