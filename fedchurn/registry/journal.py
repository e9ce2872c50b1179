"""The promotion journal: append-only, hash-chained, one writer at a time, compare-and-set.

Whoever changes production says which version he found there; if it is another one by now, he is
told who came first. The file and its lock must be shared by all promoters of a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from fedchurn.errors import PromotionConflict, PromotionError, nearest
from fedchurn.journal.chained_file import ChainedFile, Words
from fedchurn.registry.entry import INTENTIONS, LIVE_ACTIONS, Entry, Line, moment, read_entry

_WORDS = Words(
    PromotionError,
    busy="promotion",
    restored="the registry's aliases still name production",
)


class Journal:
    """The journal of one registered model.

    Args:
        path: the JSONL file; made at the first entry. ``PATH.lock`` beside it is the lock.
        lock_seconds: how long to wait for another promoter.
    """

    def __init__(self, path: Path, *, lock_seconds: float = 60.0) -> None:
        self.path = path
        self._file = ChainedFile(path, read_entry, _WORDS, lock_seconds=lock_seconds)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other promoters out, in this and in other processes; may be nested.

        Raises:
            BusyError: another promoter holds it for longer than ``lock_seconds``.
            PromotionError: the folder cannot be written.
        """
        with self._file.lock():
            yield

    def append(self, entry: Entry, expected_champion: str | None) -> Line:
        """Add an entry if production is still what the caller believes; it is on disk on return.

        Raises:
            PromotionConflict: production is another version; says which, since when and by whom.
            PromotionError: the disk refuses, or the journal is altered; nothing was added.
        """
        with self.lock():
            lines = self.lines()
            if _champion(lines) != expected_champion:
                raise conflict(lines, expected_champion, _champion(lines))
            return self._file.append(entry, after=lines[-1] if lines else None)[0]

    def lines(self) -> tuple[Line, ...]:
        """All lines in order; a torn last one (a writer was killed) does not count.

        Raises:
            PromotionError: a line is altered.
        """
        return self._file.lines()

    def history(self) -> tuple[Entry, ...]:
        """All entries in order."""
        return tuple(line.entry for line in self.lines())

    def champion(self) -> str | None:
        """Version in production according to the journal."""
        return _champion(self.lines())

    def pending(self) -> Entry | None:
        """The announced change of production that is neither done nor abandoned, if any."""
        lines = self.lines()
        last = next(
            (li.entry for li in reversed(lines) if li.entry.action not in ("refuse", "archive")),
            None,
        )
        return last if last is not None and last.action in INTENTIONS else None

    def lineage(self) -> tuple[str, ...]:
        """Versions in production, oldest first; a rollback takes back what stood above."""
        return _lineage(self.history())

    def live_at(self, time: datetime) -> Entry | None:
        """The entry that put into production what was live at ``time``; None: nothing was.

        Raises:
            PromotionError: ``time`` has no UTC offset.
        """
        moment(time.isoformat())
        live = [e for e in self.history() if e.action in LIVE_ACTIONS and moment(e.time) <= time]
        return live[-1] if live and live[-1].version else None

    def why(self, release: str) -> tuple[Entry, ...]:
        """All entries about a release, given by release id (or its beginning) or version number.

        Raises:
            PromotionError: none, with the nearest known release.
        """
        history = self.history()
        number = release.removeprefix("v")
        found = tuple(
            e for e in history if e.version == number or e.release_id.startswith(release or "?")
        )
        if not found:
            known = dict.fromkeys(e.release_id for e in history if e.release_id)
            raise PromotionError(
                f"the journal knows no release {release!r}",
                where=str(self.path),
                next_step=nearest(release, known)
                if known
                else "nothing happened yet; `fedchurn train` makes a first model",
            )
        return found


def conflict(
    lines: tuple[Line, ...], expected: str | None, actual: str | None
) -> PromotionConflict:
    """The error for a promoter who finds another champion than he expected."""
    wanted = f"version {expected}" if expected else "nothing"
    live = next((li.entry for li in reversed(lines) if li.entry.action in LIVE_ACTIONS), None)
    if live is not None and (live.version or None) == actual:
        verb = "took over as found outside" if live.action == "adopt" else "was put into production"
        story = f"{live.title} {verb} at {live.time} by {live.actor}"
    else:
        story = f"version {actual} is there" if actual else "nothing is there any more"
    return PromotionConflict(
        f"{story}; this promotion was judged against {wanted} in production",
        next_step="compare the challenger with the new champion, then promote again",
    )


def _champion(lines: tuple[Line, ...]) -> str | None:
    live = next((li.entry for li in reversed(lines) if li.entry.action in LIVE_ACTIONS), None)
    return (live.version or None) if live is not None else None


def _lineage(history: tuple[Entry, ...]) -> tuple[str, ...]:
    stack: list[str] = []
    for entry in history:
        if entry.action == "rollback" and stack:
            stack.pop()
        if entry.action in LIVE_ACTIONS and entry.version and stack[-1:] != [entry.version]:
            stack.append(entry.version)
    return tuple(stack)
