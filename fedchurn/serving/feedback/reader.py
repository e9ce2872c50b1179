"""Reads feedback of all workers and settles what it says about which prediction."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fedchurn.errors import SourceError
from fedchurn.serving.feedback.entry import (
    FORMAT,
    KIND,
    FeedbackEntry,
    PredictedThen,
    predicted_then,
)
from fedchurn.serving.log.log_files import log_paths
from fedchurn.serving.log.log_lines import LoggedPrediction, unsealed
from fedchurn.serving.log.log_reader import ReadCounts, blocks_backward, lines_forward, newest_of

_decode = msgspec.json.Decoder(FeedbackEntry).decode


@dataclass(frozen=True)
class Settled:
    """Feedback, one label per prediction.

    Attributes:
        labels: predictions with the label that was given last.
        num_read: pieces of feedback.
        num_unknown: those whose prediction is not known.
        num_duplicates: those that only say again what a later one says.
        num_contradictions: those that a later one contradicts.
    """

    labels: tuple[tuple[PredictedThen, int], ...]
    num_read: int
    num_unknown: int
    num_duplicates: int
    num_contradictions: int


def newest_feedback(
    folder: Path, num_rows: int, *, counts: ReadCounts | None = None
) -> list[FeedbackEntry]:
    """The ``num_rows`` newest pieces of feedback of all workers, oldest first.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    counts = counts or ReadCounts()
    return newest_of(log_paths(folder, KIND), num_rows, lambda path: _backward(path, counts))


def settle(
    entries: Sequence[FeedbackEntry], predictions: Iterable[LoggedPrediction] = ()
) -> Settled:
    """One label per prediction: the one that was given last.

    Args:
        entries: oldest first.
        predictions: looked through for what was not logged when its feedback came, oldest first.
    """
    known = _Known(predictions)
    labels: dict[str, tuple[PredictedThen, int]] = {}
    num_unknown = num_duplicates = num_contradictions = 0
    for entry in entries:
        then = _meant(entry, known)
        if then is None:
            num_unknown += 1
            continue
        before = labels.get(then.prediction_id)
        if before is not None:
            num_duplicates += before[1] == entry.label
            num_contradictions += before[1] != entry.label
        labels[then.prediction_id] = (then, entry.label)
    return Settled(
        labels=tuple(labels.values()),
        num_read=len(entries),
        num_unknown=num_unknown,
        num_duplicates=num_duplicates,
        num_contradictions=num_contradictions,
    )


class _Known:
    """Predictions by id and by customer."""

    def __init__(self, predictions: Iterable[LoggedPrediction]) -> None:
        self._by_id: dict[str, LoggedPrediction] = {}
        self._by_customer: dict[str, list[LoggedPrediction]] = {}
        for found in predictions:
            self._by_id[found.prediction_id] = found
            if found.customer_id is not None:
                self._by_customer.setdefault(found.customer_id, []).append(found)

    def meant_by(self, entry: FeedbackEntry) -> PredictedThen | None:
        if entry.prediction_id is not None:
            found = self._by_id.get(entry.prediction_id)
        else:
            of_customer = self._by_customer.get(entry.customer_id or "", [])
            before = (p for p in reversed(of_customer) if p.time_seconds <= entry.until_seconds)
            found = next(before, None)
        return predicted_then(found) if found else None


def _meant(entry: FeedbackEntry, known: _Known) -> PredictedThen | None:
    """What was found then, or a customer's later prediction that was not logged yet."""
    if entry.predicted is not None and entry.prediction_id is not None:
        return entry.predicted
    found = [then for then in (entry.predicted, known.meant_by(entry)) if then is not None]
    return max(found, key=lambda then: then.time_seconds, default=None)


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
