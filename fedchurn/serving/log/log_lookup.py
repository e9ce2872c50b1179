"""Finds single predictions in the log without reading it: by id, and the latest of a customer."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from fedchurn.serving.log.log_files import log_paths
from fedchurn.serving.log.log_lines import LoggedPrediction, read_prediction
from fedchurn.serving.log.log_reader import (
    KIND,
    OpenLog,
    ReadCounts,
    blocks_backward,
    lines_forward,
    opened,
)

_ID = re.compile(r"([0-9a-f]{20})-([0-9a-f]{1,16})")
# Threads of a worker may write in another order than they took numbers.
_NEARBY_BYTES = 2**16
_NEARBY_FILES = 2


class _Key(NamedTuple):
    """An id as ``prediction_ids`` makes them: a worker's mark, and a number that it counts up."""

    mark: str
    number: int


class PredictionFinder:
    """Looks predictions up; keeps the first id of each file in memory.

    Args:
        folder: where predictions are logged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first_keys: dict[str, _Key] = {}

    def by_id(self, prediction_id: str) -> LoggedPrediction | None:
        """The prediction of an id, or None: never logged, not logged yet, or deleted since.

        A worker numbers its predictions, so the file, and then the place in it, is found by
        halving; some milliseconds.

        Raises:
            SourceError: a file is of a format that this version does not know.
        """
        key = _key(prediction_id)
        if key is None:
            return None
        for path in self._files_of(key):
            with opened(path, ReadCounts()) as log:
                found = _in_file(log, key, prediction_id) if log else None
            if found is not None:
                return found
        return None

    def latest_of(
        self, customer_id: str, *, before_seconds: float, max_bytes: int = 2**24
    ) -> LoggedPrediction | None:
        """A customer's latest prediction up to a Unix time, among the newest ``max_bytes``.

        Raises:
            SourceError: a file is of a format that this version does not know.
        """
        best: LoggedPrediction | None = None
        needle = msgspec.json.encode(customer_id)

        def fits(found: LoggedPrediction) -> bool:
            return found.customer_id == customer_id and found.time_seconds <= before_seconds

        for path in reversed(log_paths(self._folder, KIND)):
            if max_bytes <= 0:
                break
            with opened(path, ReadCounts()) as log:
                if log is None:
                    continue
                num_bytes = min(max_bytes, os.fstat(log.descriptor).st_size)
                found = _last_with(log, needle, fits, num_bytes)
                max_bytes -= num_bytes
            if found and (best is None or found.time_seconds > best.time_seconds):
                best = found
        return best

    def _files_of(self, key: _Key) -> list[Path]:
        """Files that may hold a key, the likeliest first."""
        paths = log_paths(self._folder, KIND)
        known = {path.name: self._first_key(path) for path in paths}
        self._first_keys = {name: first for name, first in known.items() if first}
        same = [
            (first.number, path)
            for path in paths
            if (first := known[path.name]) and first.mark == key.mark
        ]
        before = sorted((entry for entry in same if entry[0] <= key.number), reverse=True)
        after = sorted(entry for entry in same if entry[0] > key.number)
        return [path for _, path in (*before[:_NEARBY_FILES], *after[:1])]

    def _first_key(self, path: Path) -> _Key | None:
        if path.name in self._first_keys:
            return self._first_keys[path.name]
        with opened(path, ReadCounts()) as log:
            return _key_behind(log, log.start) if log else None


def _in_file(log: OpenLog, key: _Key, prediction_id: str) -> LoggedPrediction | None:
    low, high = log.start, os.fstat(log.descriptor).st_size
    while high - low > _NEARBY_BYTES:
        middle = (low + high) // 2
        there = _key_behind(log, middle)
        if there is not None and there.mark == key.mark and there.number <= key.number:
            low = middle
        else:
            high = middle
    start = max(log.start, low - _NEARBY_BYTES)
    block = os.pread(log.descriptor, high - start + _NEARBY_BYTES, start)
    needle = msgspec.json.encode(prediction_id)
    for line in _lines_with(block, needle):
        found = read_prediction(line, log.schema)
        if found is not None and found.prediction_id == prediction_id:
            return found
    return None


def _key_behind(log: OpenLog, position: int) -> _Key | None:
    """The key of the first whole line that begins at ``position`` (bytes) or behind it."""
    if position > log.start:
        block = os.pread(log.descriptor, _NEARBY_BYTES, position - 1)
        position += block.find(b"\n")
    for line, _ in lines_forward(log.descriptor, position, ReadCounts(), _NEARBY_BYTES // 16):
        found = read_prediction(line, log.schema)
        if found is not None:
            return _key(found.prediction_id)
    return None


def _last_with(
    log: OpenLog, needle: bytes, fits: Callable[[LoggedPrediction], bool], num_bytes: int
) -> LoggedPrediction | None:
    """The last prediction in a file's last ``num_bytes`` whose line holds ``needle``."""
    size = os.fstat(log.descriptor).st_size
    for position, block in blocks_backward(log.descriptor, log.start, ReadCounts()):
        for line in _lines_with(block, needle):
            found = read_prediction(line, log.schema)
            if found is not None and fits(found):
                return found
        if size - position >= num_bytes:
            break
    return None


def _lines_with(block: bytes, needle: bytes) -> Iterator[bytes]:
    """Lines of a block that hold ``needle``, last first."""
    end = len(block)
    while (place := block.rfind(needle, 0, end)) >= 0:
        start = block.rfind(b"\n", 0, place) + 1
        stop = block.find(b"\n", place)
        yield block[start : stop if stop >= 0 else len(block)]
        end = start


def _key(prediction_id: str) -> _Key | None:
    match = _ID.fullmatch(prediction_id)
    return _Key(match[1], int(match[2], 16)) if match else None
