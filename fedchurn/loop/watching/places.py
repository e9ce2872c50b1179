"""The runner's place in the log, and where it keeps what it found, under home.

HOME/watch/CONTRACT/claim.json       the window that is being judged
HOME/watch/CONTRACT/watermark.json   how far the log has been judged
HOME/watch/CONTRACT/verdicts.jsonl   one line per window
HOME/watch/CONTRACT/windows/ID/      verdict.json and report.html, both or none
HOME/watch/CONTRACT/last_run.json    when the runner looked last, and what it saw
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedchurn.errors import ReleaseError, WatchError
from fedchurn.release.folder import sync_folder
from fedchurn.serving.drift_file import LAST_RUN
from fedchurn.serving.reload.files import read_record, write_record

CLAIM = "claim.json"
WATERMARK = "watermark.json"
WINDOWS = "windows"
_MAX_GONE_FILES = 1000  # positions kept of files that are not there, should they come back
_DIGITS = 16


@dataclass(frozen=True)
class Claim:
    """A window that somebody has begun to judge: whoever goes on judges the same.

    Attributes:
        contract: name of the contract.
        release_id, release_folder, version: what it is compared with.
        time: when it was claimed, ISO 8601 in UTC; the window's own time.
        read: first and last position in bytes by log file.
        rule: name of the rule (``DriftSettings.rule``).
    """

    contract: str
    release_id: str
    release_folder: str
    version: str | None
    time: str
    read: Mapping[str, tuple[int, int]]
    rule: str

    @property
    def window_id(self) -> str:
        """16 hex digits of contract, release and range: equal ranges are one window."""
        ranges = sorted((file, *ends) for file, ends in self.read.items())
        text = json.dumps([self.contract, self.release_id, ranges])
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

    @property
    def start(self) -> dict[str, int]:
        return {file: begin for file, (begin, _) in self.read.items()}

    @property
    def end(self) -> dict[str, int]:
        return {file: behind for file, (_, behind) in self.read.items()}


def read_claim(folder: Path) -> Claim | None:
    """The window that a killed run has left, or None.

    Raises:
        WatchError: the file was changed by somebody.
    """
    stored = _read(folder / CLAIM)
    if stored is None:
        return None
    try:
        ranges = {file: (int(ends[0]), int(ends[1])) for file, ends in stored["read"].items()}
        return Claim(**{**stored, "read": ranges})
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise _not_ours(folder / CLAIM, error) from error


def write_claim(folder: Path, claim: Claim) -> None:
    """Say which window is judged from now on; the disk has it on return.

    Raises:
        WatchError: the disk refuses.
    """
    _write(folder / CLAIM, asdict(claim))


def drop_claim(folder: Path) -> None:
    """Nothing is being judged any more."""
    (folder / CLAIM).unlink(missing_ok=True)


def read_watermark(folder: Path) -> dict[str, int]:
    """Position in bytes by log file, behind what has been judged.

    Raises:
        WatchError: the file was changed by somebody.
    """
    stored = _read(folder / WATERMARK) or {}
    try:
        return {str(file): int(position) for file, position in stored.items()}
    except (TypeError, ValueError) as error:
        raise _not_ours(folder / WATERMARK, error) from error


def move_watermark(folder: Path, end: Mapping[str, int], files: set[str]) -> None:
    """Judged up to ``end``; files that ``end`` does not name stay where they were.

    Args:
        folder: see ``watch_folder``.
        end: positions by log file.
        files: names of the log files that are there.

    Raises:
        WatchError: the disk refuses.
    """
    known = {**read_watermark(folder), **end}
    gone = sorted(known.keys() - files)[:-_MAX_GONE_FILES]
    _write(folder / WATERMARK, {file: known[file] for file in sorted(known.keys() - set(gone))})


def write_last_run(folder: Path, told: Mapping[str, Any]) -> None:
    """What the runner saw when it looked last.

    Raises:
        WatchError: the disk refuses.
    """
    _write(folder / LAST_RUN, told)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_record(path)
    except ValueError as error:
        raise _not_ours(path, error) from error


def _write(path: Path, record: Mapping[str, Any]) -> None:
    try:
        write_record(path, record, durable=True)
        sync_folder(path.parent)
    except (ReleaseError, OSError) as error:
        raise WatchError(
            f"cannot be written: {error.what if isinstance(error, ReleaseError) else error}",
            where=str(path),
            next_step="give room and rights there, then run again",
        ) from error


def _not_ours(path: Path, error: Exception) -> WatchError:
    return WatchError(
        f"this is not what the drift runner wrote there: {type(error).__name__} {error}",
        where=str(path),
        next_step="delete the file: without a claim rows are claimed anew, without a watermark the"
        " log is judged from its beginning",
    )
