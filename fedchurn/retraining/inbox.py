"""Triggers that wait for a decision: one file each, whole or absent, added by any process.

A file's name is the digest of its trigger's key, and the file system lets only one writer have a
name; so one event waits once, whoever tells it. What is decided moves to ``done`` and is remembered
for a while: Alertmanager repeats an alert for as long as it fires.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from fedchurn.errors import RetrainingError
from fedchurn.release.folder import sync_folder, write_file
from fedchurn.retraining.trigger import Trigger, moment

REPEAT_HOURS = 24.0
_UNFINISHED = ".new-"
_UNFINISHED_SECONDS = 3600.0
_MAX_DONE = 10_000


@dataclass(frozen=True)
class Arrival:
    """A trigger that waits; ``number`` is of this arrival alone, so that it is decided once.

    A key can arrive again after ``repeat_hours``; the journal tells the two apart by the number.
    """

    number: str
    trigger: Trigger


class TriggerInbox:
    """The triggers of one contract.

    Args:
        folder: where they wait (``places.inbox_folder``); made at the first one.
        repeat_hours: for how long a decided key is not taken again. Later it is: an alert that
            still fires when the cooldown is over deserves another look.
    """

    def __init__(self, folder: Path, *, repeat_hours: float = REPEAT_HOURS) -> None:
        self.folder = folder
        self._done = folder / "done"
        self._repeat_seconds = repeat_hours * 3600.0

    def add(self, trigger: Trigger) -> bool:
        """Keep a trigger; the disk has it on return.

        Returns:
            Whether it is new; False when its key waits already, or was decided lately.

        Raises:
            RetrainingError: the disk does not take it; it is not kept.
        """
        name = _name(trigger.key)
        with _naming(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._is_decided(name) or (self.folder / name).exists():
                return False
            if not _add_whole(self.folder / name, _content(trigger)):
                return False
            sync_folder(self.folder)
        return True

    @property
    def num_waiting(self) -> int:
        """Triggers that wait, without a look into them."""
        return sum(1 for _ in self.folder.glob("*.json"))

    def pending(self) -> tuple[Trigger, ...]:
        """Triggers that wait, oldest event first; raises as ``arrivals``."""
        return tuple(arrival.trigger for arrival in self.arrivals())

    def arrivals(self) -> tuple[Arrival, ...]:
        """What waits, oldest event first.

        Raises:
            RetrainingError: a file cannot be read; it is named.
        """
        with _naming(self.folder):
            found = [_read(path) for path in self.folder.glob("*.json")]
        waiting = [arrival for arrival in found if arrival is not None]
        return tuple(sorted(waiting, key=lambda a: (moment(a.trigger.time), a.trigger.key)))

    def done(self, keys: Iterable[str]) -> None:
        """These are decided, and the decisions are on disk; they wait no longer.

        Raises:
            RetrainingError: the disk refuses.
        """
        with _naming(self.folder):
            self._done.mkdir(parents=True, exist_ok=True)
            for name in map(_name, keys):
                with suppress(FileNotFoundError):  # another drain was quicker
                    (self.folder / name).rename(self._done / name)
                    os.utime(self._done / name)
            self._forget_old()

    def _is_decided(self, name: str) -> bool:
        with suppress(FileNotFoundError):
            age = time.time() - (self._done / name).stat().st_mtime
            return age < self._repeat_seconds
        return False

    def _forget_old(self) -> None:
        """Drop what killed writers left, and the oldest decided ones; the journal has them all."""
        for path in self.folder.glob(f"{_UNFINISHED}*"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _UNFINISHED_SECONDS:
                    path.unlink()
        decided = sorted(self._done.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in decided[:-_MAX_DONE]:
            path.unlink(missing_ok=True)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest() + ".json"


def _content(trigger: Trigger) -> bytes:
    stored = {"number": uuid4().hex, "trigger": trigger.to_dict()}
    try:
        return json.dumps(stored, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise RetrainingError(
            f"the evidence of trigger {trigger.key!r} is not JSON: {error}",
            next_step="give texts, finite numbers, lists and mappings only",
        ) from error


def _add_whole(path: Path, content: bytes) -> bool:
    """Give ``path`` its whole content in one step; False when somebody has the name already."""
    handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)
    os.close(handle)
    new = Path(name)
    try:
        write_file(new, content)
        new.chmod(0o644)  # mkstemp makes 0600, but another user may drain
        path.hardlink_to(new)
    except FileExistsError:
        return False
    finally:
        new.unlink()
    return True


def _read(path: Path) -> Arrival | None:
    try:
        stored = json.loads(path.read_bytes())
        return Arrival(str(stored["number"]), Trigger.from_dict(stored["trigger"]))
    except FileNotFoundError:  # decided just now
        return None
    except (ValueError, TypeError, KeyError, RetrainingError) as error:
        raise RetrainingError(
            f"this is no trigger: {error}",
            where=str(path),
            next_step="move the file elsewhere, then run again",
        ) from error


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RetrainingError(
            f"the trigger cannot be kept: {error.strerror or error}",
            where=str(folder),
            next_step="make home a folder with room that this user may write",
        ) from error
