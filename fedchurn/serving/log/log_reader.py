"""Reads what all workers have logged, while they go on logging.

Lines that are damaged, or not whole yet, are skipped and counted; nothing that was not written is
ever handed out. Files that disappear meanwhile (their turn has come) are passed over.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from fedchurn.serving.log.log_files import STAMP, log_paths
from fedchurn.serving.log.log_lines import LoggedPrediction, LogSchema, read_prediction, read_schema

KIND = "predictions"
BLOCK_BYTES = 2**18
# Threads write a moment after they looked at the clock, and file systems' clocks are coarse.
SLACK_SECONDS = 1.0


@dataclass
class ReadCounts:
    """What a reader met.

    Attributes:
        num_files: files that were looked into.
        num_torn: damaged or unfinished lines that were skipped.
    """

    num_files: int = 0
    num_torn: int = 0


class HasTime(Protocol):
    """Something that happened at a Unix time."""

    @property
    def time_seconds(self) -> float: ...


Timed = TypeVar("Timed", bound=HasTime)


class OpenLog(NamedTuple):
    """A file that is being read: its schema, and where its predictions begin (bytes)."""

    descriptor: int
    schema: LogSchema
    start: int

    def predictions(
        self, counts: ReadCounts, position: int = 0
    ) -> Iterator[tuple[LoggedPrediction, int]]:
        """Predictions from ``position`` on, each with the position behind it."""
        for line, end in lines_forward(self.descriptor, max(self.start, position), counts):
            found = read_prediction(line, self.schema)
            if found is None:
                counts.num_torn += 1
            else:
                yield found, end


def read_predictions(
    folder: Path,
    *,
    since_seconds: float | None = None,
    contract: str | None = None,
    counts: ReadCounts | None = None,
) -> Iterator[LoggedPrediction]:
    """All logged predictions of all workers, merged by time; memory stays small.

    Predictions of one worker come as they were written, which is by time up to the moments that
    threads take.

    Args:
        folder: where predictions are logged; a folder that is not there holds none.
        since_seconds: only predictions after this Unix time.
        contract: only predictions of this contract.
        counts: is told what was met.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    counts = counts or ReadCounts()
    after = float("-inf") if since_seconds is None else since_seconds
    paths = [p for p in log_paths(folder, KIND) if changed(p) >= after - SLACK_SECONDS]
    for found in merged(paths, lambda path: _forward(path, contract, counts)):
        if found.time_seconds > after:
            yield found


def newest(
    folder: Path,
    num_rows: int,
    *,
    contract: str | None = None,
    counts: ReadCounts | None = None,
) -> list[LoggedPrediction]:
    """The ``num_rows`` newest predictions, oldest first; files are read from their ends.

    Args:
        folder: where predictions are logged; a folder that is not there holds none.
        num_rows: how many at most.
        contract: only predictions of this contract.
        counts: is told what was met.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    counts = counts or ReadCounts()
    paths = log_paths(folder, KIND)
    return newest_of(paths, num_rows, lambda path: _backward(path, contract, counts))


def newest_of(
    paths: Iterable[Path], num_rows: int, read: Callable[[Path], Iterator[Timed]]
) -> list[Timed]:
    """The ``num_rows`` newest entries of files, oldest first.

    Args:
        paths: files; those that were written last are read first, and old ones not at all.
        num_rows: how many at most.
        read: entries of a file, last written first.
    """
    order = itertools.count()
    best: list[tuple[float, int, Timed]] = []
    for path in sorted(paths, key=changed, reverse=True):
        if num_rows < 1 or (len(best) == num_rows and _is_older(changed(path), best)):
            break
        for found in read(path):
            if len(best) == num_rows and _is_older(found.time_seconds, best):
                break
            # Of equal times the later written one is newer, and it is read first.
            entry = (found.time_seconds, -next(order), found)
            if len(best) < num_rows:
                heapq.heappush(best, entry)
            elif entry > best[0]:
                heapq.heapreplace(best, entry)
    return [found for _, _, found in sorted(best)]


def _is_older(time_seconds: float, best: list[tuple[float, int, Timed]]) -> bool:
    return time_seconds + SLACK_SECONDS < best[0][0]


def read_after(
    folder: Path,
    watermark: Mapping[str, int] | None = None,
    *,
    max_rows: int = 100_000,
    counts: ReadCounts | None = None,
) -> tuple[list[LoggedPrediction], dict[str, int]]:
    """What was written since the last call, each prediction exactly once.

    A time could not say that: a worker may write later what it answered earlier.

    Args:
        folder: where predictions are logged.
        watermark: what the last call returned; None reads from the beginning.
        max_rows: the rest waits for the next call.
        counts: is told what was met.

    Returns:
        The predictions, file by file, and the new watermark (position in bytes by file name).

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    counts = counts or ReadCounts()
    found: list[LoggedPrediction] = []
    reached: dict[str, int] = {}
    for path in log_paths(folder, KIND):
        position = (watermark or {}).get(path.name, 0)
        with opened(path, counts) as log:
            rows = log.predictions(counts, position) if log else iter(())
            for prediction, end in itertools.islice(rows, max_rows - len(found)):
                found.append(prediction)
                position = end
        reached[path.name] = position
    return found, reached


class ReadLine(NamedTuple):
    """A prediction, the name of its file, and the position behind it there (bytes)."""

    prediction: LoggedPrediction
    file: str
    end: int


def read_range(
    folder: Path,
    start: Mapping[str, int] | None = None,
    end: Mapping[str, int] | None = None,
    *,
    counts: ReadCounts | None = None,
) -> Iterator[ReadLine]:
    """Predictions between two watermarks, file by file; the same ones whenever it is read again.

    Args:
        folder: where predictions are logged.
        start: positions in bytes by file name; other files are read from their beginning.
        end: the same; other files are not read at all. None reads all that is there.
        counts: is told what was met.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    counts = counts or ReadCounts()
    for path in log_paths(folder, KIND):
        begin = (start or {}).get(path.name, 0)
        bound = float("inf") if end is None else end.get(path.name, 0)
        if begin >= bound:
            continue
        with opened(path, counts) as log:
            for prediction, behind in log.predictions(counts, begin) if log else ():
                if behind > bound:
                    break
                yield ReadLine(prediction, path.name, behind)


@contextmanager
def opened(path: Path, counts: ReadCounts) -> Iterator[OpenLog | None]:
    """A file to read; None when it is gone, or has no whole first line."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        counts.num_files += 1
        first = next(lines_forward(descriptor, 0, counts), None)
        schema = read_schema(first[0], path) if first else None
        if first and schema is None:
            counts.num_torn += 1
        yield OpenLog(descriptor, schema, first[1]) if first and schema else None
    finally:
        os.close(descriptor)


def lines_forward(
    descriptor: int, position: int, counts: ReadCounts, num_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[bytes, int]]:
    """Whole lines without their newlines, each with the position behind it (bytes).

    ``num_bytes`` are read at a time, more where a line alone is longer.
    """
    while block := os.pread(descriptor, num_bytes, position):
        end = block.rfind(b"\n")
        if end < 0:
            if len(block) < num_bytes:
                counts.num_torn += 1  # a line without an end: cut off, or not finished yet
                return
            num_bytes *= 2
            continue
        # An unfinished line is read again from its beginning: its writer may have taken it back.
        for line in block[:end].split(b"\n"):
            position += len(line) + 1
            yield line, position


def blocks_backward(
    descriptor: int, start: int, counts: ReadCounts, num_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines from the end of a file back to ``start``, each with its position
    (bytes) and without its last newline; ``num_bytes`` as in ``lines_forward``."""
    size = os.fstat(descriptor).st_size
    end = _last_end(descriptor, start, size)
    counts.num_torn += end < size
    while end > start:
        begin = max(start, end - num_bytes)
        block = os.pread(descriptor, end - begin, begin)
        cut = block.find(b"\n") + 1 if begin > start else 0
        if begin > start and cut in (0, len(block)):
            num_bytes *= 2  # the last line alone is longer
            continue
        yield begin + cut, block[cut:-1]
        end = begin + cut


def _last_end(descriptor: int, start: int, end: int) -> int:
    """Position behind the last newline between ``start`` and ``end``, or ``start``."""
    while end > start:
        begin = max(start, end - BLOCK_BYTES)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return start


def _backward(path: Path, contract: str | None, counts: ReadCounts) -> Iterator[LoggedPrediction]:
    with opened(path, counts) as log:
        if log is None or contract not in (None, log.schema.contract):
            return
        for _, block in blocks_backward(log.descriptor, log.start, counts):
            for line in reversed(block.split(b"\n")):
                found = read_prediction(line, log.schema)
                if found is None:
                    counts.num_torn += 1
                else:
                    yield found


def _forward(path: Path, contract: str | None, counts: ReadCounts) -> Iterator[LoggedPrediction]:
    with opened(path, counts) as log:
        if log is not None and contract in (None, log.schema.contract):
            for found, _ in log.predictions(counts):
                yield found


def merged(paths: list[Path], read: Callable[[Path], Iterator[Timed]]) -> Iterator[Timed]:
    """Entries of files by time; a file is opened when its time has come, as its name says.

    Args:
        paths: files, each with entries by time.
        read: entries of a file, first written first.
    """
    waiting = sorted(((started(path), path) for path in paths), reverse=True)
    order = itertools.count()
    heap: list[tuple[float, int, Timed, Iterator[Timed]]] = []
    while waiting or heap:
        if waiting and (not heap or waiting[-1][0] <= heap[0][0] + SLACK_SECONDS):
            stream = read(waiting.pop()[1])
        else:
            _, _, found, stream = heapq.heappop(heap)
            yield found
        following = next(stream, None)
        if following is not None:
            heapq.heappush(heap, (following.time_seconds, next(order), following, stream))


def started(path: Path) -> float:
    """Unix time of a file's first line, as its name says; long ago when somebody renamed it."""
    parts = path.name.split("-")
    with suppress(ValueError, IndexError):
        return datetime.strptime(parts[1], STAMP).replace(tzinfo=UTC).timestamp()
    return float("-inf")


def changed(path: Path) -> float:
    """When the file was written last, Unix time; long ago when it is gone."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return float("-inf")
