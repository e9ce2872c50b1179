"""The journal of windows: one line each, in the order in which they were judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fedchurn.drift.verdict import Verdict
from fedchurn.errors import WatchError
from fedchurn.journal.chain import Line
from fedchurn.journal.chained_file import ChainedFile, Words
from fedchurn.serving.drift_file import VERDICTS

_WORDS = Words(
    WatchError,
    busy="drift check",
    restored="or move it aside: then persistence begins anew",
)


@dataclass(frozen=True)
class WindowLine:
    """What the journal holds of a window; the rest stands in the window's own folder.

    Attributes:
        window_id: see ``places.Claim``.
        time: when it was claimed, ISO 8601 in UTC.
        contract, release: what it was compared with.
        verdict: ``none``, ``warning``, ``drift`` or ``too_few_rows``.
        evidence: what speaks for it: values of ``Subject``, ``performance``.
        summary: the verdict in one sentence.
        flagged, warned, drifted: columns.
        clients: clients that are named.
        client_flags: flagged columns by client, where there are any.
        num_customers: how many were looked at.
        report_path: the report.
    """

    window_id: str
    time: str
    contract: str
    release: str
    verdict: str
    evidence: tuple[str, ...]
    summary: str
    flagged: tuple[str, ...]
    warned: tuple[str, ...]
    drifted: tuple[str, ...]
    clients: tuple[str, ...]
    client_flags: Mapping[str, Sequence[str]]
    num_customers: int
    report_path: str


def open_verdicts(folder: Path) -> ChainedFile[WindowLine]:
    """The journal under a contract's ``watch_folder``."""
    return ChainedFile(folder / VERDICTS, read_window_line, _WORDS)


def read_window_line(stored: Mapping[str, Any]) -> WindowLine:
    """The line behind ``asdict``.

    Raises:
        KeyError: it is none.
    """
    return WindowLine(*(_immutable(stored[one.name]) for one in fields(WindowLine)))


def _immutable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def journal_window(folder: Path, line: WindowLine) -> bool:
    """Add a window's line, unless it is there already; the disk has it on return.

    Returns:
        whether it was added.

    Raises:
        WatchError: the disk refuses, or the journal was altered.
    """
    verdicts = open_verdicts(folder)
    with verdicts.lock():
        known = verdicts.lines()
        if any(one.entry.window_id == line.window_id for one in known):
            return False
        verdicts.append(line, after=known[-1] if known else None)
    return True


def windows_before(
    known: tuple[Line[WindowLine], ...], release_id: str, window_id: str, num_windows: int
) -> tuple[WindowLine, ...]:
    """The last windows of a release that came before a window, oldest first.

    Those of other releases between them do not count, nor do those that were too small.

    Args:
        known: the journal.
        release_id: the release.
        window_id: the window; it may be in the journal already.
        num_windows: how many at most.
    """
    entries = [line.entry for line in known]
    places = [place for place, one in enumerate(entries) if one.window_id == window_id]
    before = entries[: places[0]] if places else entries
    too_few = Verdict.TOO_FEW_ROWS
    found = [one for one in before if one.release == release_id and one.verdict != too_few]
    return tuple(found[-num_windows:]) if num_windows > 0 else ()
