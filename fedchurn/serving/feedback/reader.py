"""Reads the feedback that all workers keep."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fedchurn.errors import SourceError
from fedchurn.serving.feedback.entry import FORMAT, KIND, FeedbackEntry
from fedchurn.serving.log.log_files import log_paths
from fedchurn.serving.log.log_lines import unsealed
from fedchurn.serving.log.log_reader import (
    SLACK_SECONDS,
    ReadCounts,
    blocks_backward,
    changed,
    lines_forward,
    merged,
    newest_of,
)

_decode = msgspec.json.Decoder(FeedbackEntry).decode


def newest_feedback(
    folder: Path, num_rows: int, *, counts: ReadCounts | None = None
) -> list[FeedbackEntry]:
    """The ``num_rows`` newest pieces of feedback of all workers, oldest first.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    counts = counts or ReadCounts()
    return newest_of(log_paths(folder, KIND), num_rows, lambda path: _backward(path, counts))


def read_feedback(
    folder: Path, *, since_seconds: float | None = None, counts: ReadCounts | None = None
) -> Iterator[FeedbackEntry]:
    """All feedback of all workers, merged by time; memory stays small.

    Args:
        folder: where feedback is kept; a folder that is not there holds none.
        since_seconds: only what was taken after this Unix time.
        counts: is told what was met.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    counts = counts or ReadCounts()
    after = float("-inf") if since_seconds is None else since_seconds
    paths = [p for p in log_paths(folder, KIND) if changed(p) >= after - SLACK_SECONDS]
    for entry in merged(paths, lambda path: _forward(path, counts)):
        if entry.time_seconds > after:
            yield entry


def _backward(path: Path, counts: ReadCounts) -> Iterator[FeedbackEntry]:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        counts.num_files += 1
        first = next(lines_forward(descriptor, 0, counts), None)
        if first is None:
            return
        _check_format(first[0], path)
        for _, block in blocks_backward(descriptor, first[1], counts):
            for line in reversed(block.split(b"\n")):
                entry = _entry(line)
                if entry is None:
                    counts.num_torn += 1
                else:
                    yield entry
    finally:
        os.close(descriptor)


def _forward(path: Path, counts: ReadCounts) -> Iterator[FeedbackEntry]:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        counts.num_files += 1
        lines = lines_forward(descriptor, 0, counts)
        first = next(lines, None)
        if first is None:
            return
        _check_format(first[0], path)
        for line, _ in lines:
            entry = _entry(line)
            if entry is None:
                counts.num_torn += 1
            else:
                yield entry
    finally:
        os.close(descriptor)


def _entry(line: bytes) -> FeedbackEntry | None:
    body = unsealed(line)
    try:
        return _decode(body) if body is not None else None
    except msgspec.DecodeError:
        return None


def _check_format(line: bytes, path: Path) -> None:
    body = unsealed(line)
    header = msgspec.json.decode(body) if body else None
    # A damaged first line is forgiven: labels are precious, and every line has its own checksum.
    found = header.get("format") if isinstance(header, dict) else FORMAT
    if found != FORMAT:
        raise SourceError(
            f"format {found!r} is not known; this version of Fedchurn reads {FORMAT!r}",
            where=str(path),
            next_step="read it with the version of Fedchurn that wrote it, or move it elsewhere",
        )
