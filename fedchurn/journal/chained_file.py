"""A journal's file: one writer at a time; lines are on disk when they are told, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from filelock import FileLock, Timeout

from fedchurn.errors import BusyError, FedchurnError
from fedchurn.journal.chain import AlteredLine, EntryT, Line, ReadEntry, next_lines, read_lines
from fedchurn.release.folder import sync_folder


@dataclass(frozen=True)
class Words:
    """How the errors of a journal are told.

    Attributes:
        error: class of errors other than ``BusyError``.
        busy: what is under way when another process holds the lock.
        restored: what to know when the file is altered, beside putting back a copy.
    """

    error: type[FedchurnError]
    busy: str
    restored: str


class ChainedFile(Generic[EntryT]):
    """The journal in a file.

    Args:
        path: the JSONL file; made at the first entry. ``PATH.lock`` beside it is the lock.
        read_entry: turns a stored entry (``asdict`` of it) into an entry again.
        words: how errors are told.
        lock_seconds: how long to wait for another process.
    """

    def __init__(
        self,
        path: Path,
        read_entry: ReadEntry[EntryT],
        words: Words,
        *,
        lock_seconds: float = 60.0,
    ) -> None:
        self.path = path
        self._read_entry = read_entry
        self._words = words
        self._lock = FileLock(f"{path}.lock", timeout=lock_seconds)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep others out, in this and in other processes; may be nested.

        Raises:
            BusyError: another process holds it for longer than ``lock_seconds``.
            FedchurnError: the folder cannot be written; of the class in ``words``.
        """
        with self._naming_the_file():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except Timeout as error:
            raise BusyError(
                f"another {self._words.busy} is under way",
                where=f"{self.path}.lock",
                next_step="wait for it to end, then run again",
            ) from error

    def lines(self) -> tuple[Line[EntryT], ...]:
        """All lines in order; a torn last one (a writer was killed) does not count.

        Raises:
            FedchurnError: a line is altered; of the class in ``words``.
        """
        try:
            return read_lines(self._split()[0].splitlines(), self._read_entry)
        except AlteredLine as error:
            raise self._words.error(
                f"line {error.number} of the journal is altered: {error}",
                where=str(self.path),
                next_step=f"put back a copy of the journal; {self._words.restored}",
            ) from error

    def append(self, *entries: EntryT, after: Line[EntryT] | None) -> tuple[Line[EntryT], ...]:
        """Add entries behind the last line, which the caller, who holds the lock, has just read.

        A torn tail is set aside first, as ``PATH.torn-N``, N being the line it would have been.

        Raises:
            FedchurnError: the disk refuses; nothing was added; of the class in ``words``.
        """
        lines = next_lines(after, entries)
        with self._naming_the_file():
            self._set_torn_tail_aside()
            self._write(b"".join(line.to_bytes() for line in lines))
        return lines

    def _write(self, content: bytes) -> None:
        path = self.path
        size = path.stat().st_size if path.exists() else None
        try:
            _append(path, content)
        except OSError:
            if path.exists():
                os.truncate(path, size or 0)
            raise
        if size is None:
            sync_folder(path.parent)

    def _split(self) -> tuple[bytes, bytes]:
        with self._naming_the_file():
            content = self.path.read_bytes() if self.path.exists() else b""
        end = content.rfind(b"\n") + 1
        return content[:end], content[end:]

    def _set_torn_tail_aside(self) -> None:
        whole, torn = self._split()
        if torn:
            number = whole.count(b"\n") + 1
            _append(self.path.with_name(f"{self.path.name}.torn-{number}"), torn)
            os.truncate(self.path, len(whole))

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._words.error(
                f"the journal cannot be used: {error.strerror or error}",
                where=str(self.path),
                next_step=f"give this user room and write access in {self.path.parent}",
            ) from error


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
