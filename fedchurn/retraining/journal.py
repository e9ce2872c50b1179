"""The retraining journal: append-only, hash-chained, one writer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedchurn.errors import RetrainingError
from fedchurn.journal.chained_file import ChainedFile, Words
from fedchurn.retraining.entry import RetrainEntry, read_entry
from fedchurn.retraining.history import History, Story

_WORDS = Words(
    RetrainingError,
    busy="decision about retraining",
    restored="what is in production does not depend on it",
)


class RetrainJournal:
    """The journal of one contract; ``places.journal_path`` says where it is.

    Args:
        path: the JSONL file; made at the first entry. ``PATH.lock`` beside it is the lock.
        lock_seconds: how long to wait for another writer.
    """

    def __init__(self, path: Path, *, lock_seconds: float = 60.0) -> None:
        self.path = path
        self._file = ChainedFile(path, read_entry, _WORDS, lock_seconds=lock_seconds)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other writers out, in this and in other processes; may be nested.

        Raises:
            BusyError: another writer holds it for longer than ``lock_seconds``.
            RetrainingError: the folder cannot be written.
        """
        with self._file.lock():
            yield

    def history(self) -> History:
        """All that happened; a torn last line (a writer was killed) does not count.

        Raises:
            RetrainingError: a line is altered.
        """
        return History(tuple(line.entry for line in self._file.lines()))

    def append(self, *entries: RetrainEntry) -> None:
        """Add entries in order; they are on disk on return.

        Raises:
            RetrainingError: the disk refuses, or the journal is altered; nothing was added.
        """
        if not entries:
            return
        with self.lock():
            lines = self._file.lines()
            self._file.append(*entries, after=lines[-1] if lines else None)

    def chain_of(self, name: str) -> tuple[Story, ...]:
        """What led to a release, or came of a drift window or event; see ``History.chain_of``."""
        return self.history().chain_of(name)
