"""One line of a journal, and the chain that binds lines together.

A line is JSON with the sha256 of the line before it and its own, so a line that is changed, removed
or put in between is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fedchurn.errors import FedchurnError

EntryT = TypeVar("EntryT")
ReadEntry = Callable[[Mapping[str, Any]], EntryT]
_FIRST_HASH = "0" * 64


class AlteredLine(ValueError):
    """A line that does not belong where it stands; ``number`` is 1-based."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.number = number


@dataclass(frozen=True)
class Line(Generic[EntryT]):
    """An entry (a dataclass whose fields are JSON-ready) in its place; ``number`` is 1-based."""

    number: int
    entry: EntryT
    previous_hash: str
    hash: str

    def to_bytes(self) -> bytes:
        """The line as it is stored, newline included."""
        content = _content(self.number, self.entry, self.previous_hash)
        return (_canonical(content | {"hash": self.hash}) + "\n").encode("utf-8")


def next_line(last: Line[EntryT] | None, entry: EntryT) -> Line[EntryT]:
    """The line that puts ``entry`` after ``last`` (None: it is the first one)."""
    previous = last.hash if last is not None else _FIRST_HASH
    number = last.number + 1 if last is not None else 1
    return Line(number, entry, previous, _hash(number, entry, previous))


def next_lines(last: Line[EntryT] | None, entries: Iterable[EntryT]) -> tuple[Line[EntryT], ...]:
    """The lines that put ``entries`` after ``last``, in order."""
    lines: list[Line[EntryT]] = []
    for entry in entries:
        lines.append(next_line(lines[-1] if lines else last, entry))
    return tuple(lines)


def read_lines(stored: Iterable[bytes], read_entry: ReadEntry[EntryT]) -> tuple[Line[EntryT], ...]:
    """Lines of a journal, each checked against the one before.

    Raises:
        AlteredLine: the first line that is altered.
    """
    lines: list[Line[EntryT]] = []
    for number, raw in enumerate(stored, start=1):
        line = _parse(raw, number, read_entry)
        if line != next_line(lines[-1] if lines else None, line.entry):
            raise AlteredLine(number, "it does not follow from the lines before it")
        lines.append(line)
    return tuple(lines)


def _parse(raw: bytes, number: int, read_entry: ReadEntry[EntryT]) -> Line[EntryT]:
    try:
        stored = json.loads(raw)
        entry = read_entry(stored["entry"])
        return Line(int(stored["number"]), entry, stored["previous_hash"], stored["hash"])
    except (ValueError, TypeError, KeyError, FedchurnError) as error:
        raise AlteredLine(number, f"it cannot be read: {error}") from error


def _content(number: int, entry: object, previous_hash: str) -> dict[str, Any]:
    # Fields are JSON-ready, so the copying all the way down of ``asdict`` is not needed.
    return {"number": number, "entry": dict(vars(entry)), "previous_hash": previous_hash}


def _hash(number: int, entry: object, previous_hash: str) -> str:
    text = _canonical(_content(number, entry, previous_hash))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _canonical(record: object) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
