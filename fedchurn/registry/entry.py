"""One line of the promotion journal, and the chain that binds lines together.

A line is JSON with the sha256 of the line before it and its own, so a line that is changed, removed
or put in between is noticed.

Actions: ``promoting`` and ``rolling_back`` announce a change of production before it happens;
``promote`` and ``rollback`` say that it is done, ``abandon`` that it never happened. ``adopt``
records a production version that somebody set outside Fedchurn. ``refuse`` and ``archive`` (a first
model below the floors) leave production as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from fedchurn.errors import PromotionError

INTENTIONS = {"promoting": "promote", "rolling_back": "rollback"}
LIVE_ACTIONS = ("promote", "rollback", "adopt")
ACTIONS = (*INTENTIONS, *LIVE_ACTIONS, "abandon", "refuse", "archive")
_FIRST_HASH = "0" * 64


@dataclass(frozen=True)
class Entry:
    """What happened.

    Attributes:
        action: one of ``ACTIONS``.
        version: registry version that it is about; "" when production became empty.
        release_id: release of that version.
        run_id: tracking run that made it, or "".
        actor: who did it.
        time: when, ISO 8601 with a UTC offset; given by the caller.
        champion_before: version in production before, or None.
        decision: the decision record (``Decision.to_dict``), or None when a person decided.
        note: free text, for example a person's reason.
    """

    action: str
    version: str
    release_id: str
    run_id: str
    actor: str
    time: str
    champion_before: str | None
    decision: Mapping[str, Any] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise PromotionError(f"unknown journal action {self.action!r}")
        moment(self.time)

    @property
    def title(self) -> str:
        """The model that the entry is about, for messages."""
        return f"version {self.version} ({self.release_id})" if self.version else "nothing"


@dataclass(frozen=True)
class Line:
    """An entry in its place in the chain; ``number`` is 1-based."""

    number: int
    entry: Entry
    previous_hash: str
    hash: str

    def to_bytes(self) -> bytes:
        """The line as it is stored, newline included."""
        content = _content(self.number, self.entry, self.previous_hash)
        return (_canonical(content | {"hash": self.hash}) + "\n").encode("utf-8")


def next_line(last: Line | None, entry: Entry) -> Line:
    """The line that puts ``entry`` after ``last`` (None: it is the first one)."""
    previous = last.hash if last is not None else _FIRST_HASH
    number = last.number + 1 if last is not None else 1
    return Line(number, entry, previous, _hash(number, entry, previous))


def read_lines(stored: Iterable[bytes], *, where: str) -> tuple[Line, ...]:
    """Lines of a journal, each checked against the one before.

    Raises:
        PromotionError: naming the first line that is altered.
    """
    lines: list[Line] = []
    for number, raw in enumerate(stored, start=1):
        line = _parse(raw, number, where)
        if line != next_line(lines[-1] if lines else None, line.entry):
            raise _altered(number, where, "it does not follow from the lines before it")
        lines.append(line)
    return tuple(lines)


def moment(time: str) -> datetime:
    """The instant behind an ISO 8601 time.

    Raises:
        PromotionError: not such a time, or one without a UTC offset.
    """
    try:
        parsed = datetime.fromisoformat(time)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise PromotionError(
            f"{time!r} is not a time with a UTC offset",
            next_step="write it like 2026-03-01T12:00:00+00:00",
        )
    return parsed


def _parse(raw: bytes, number: int, where: str) -> Line:
    try:
        stored = json.loads(raw)
        entry = Entry(**stored["entry"])
        return Line(int(stored["number"]), entry, stored["previous_hash"], stored["hash"])
    except (ValueError, TypeError, KeyError, PromotionError) as error:
        raise _altered(number, where, f"it cannot be read: {error}") from error


def _altered(number: int, where: str, why: str) -> PromotionError:
    return PromotionError(
        f"line {number} of the journal is altered: {why}",
        where=where,
        next_step="put back a copy of the journal; the registry's aliases still name production",
    )


def _content(number: int, entry: Entry, previous_hash: str) -> dict[str, Any]:
    return {"number": number, "entry": asdict(entry), "previous_hash": previous_hash}


def _hash(number: int, entry: Entry, previous_hash: str) -> str:
    text = _canonical(_content(number, entry, previous_hash))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _canonical(record: object) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
