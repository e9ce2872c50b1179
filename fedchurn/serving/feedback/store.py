"""Ground truth as it comes back: judged, kept for good, and told what it is about.

Labels come weeks after the prediction, when its log file may be gone. So what was predicted is
looked up when the label comes, and kept beside it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fedchurn.contract.customer_rows import RowProblem
from fedchurn.contract.schema import Contract
from fedchurn.errors import FedchurnError, SourceError
from fedchurn.release.folder import sync_folder
from fedchurn.serving.feedback.entry import HEADER, KIND, FeedbackEntry, judge, predicted_then
from fedchurn.serving.log.log_files import FileNames, LineFile
from fedchurn.serving.log.log_lines import LoggedPrediction, line_of
from fedchurn.serving.log.log_lookup import PredictionFinder
from fedchurn.serving.records import Refusal
from fedchurn.serving.time_text import time_text

logger = logging.getLogger("bentoml.churn.feedback")


@dataclass(frozen=True, slots=True)
class FeedbackReceipt:
    """What became of one piece of feedback.

    Attributes:
        time: when it was taken, ISO 8601 in UTC.
        prediction_id: the prediction that it is about, if named or found.
        customer_id: the customer, if named or found.
        label: what happened: 1 is churn.
        predicted: what had been predicted (1 is churn): by the log, else as the caller said, else
            None.
        happened_at: when it happened, as the caller said, or None.
        is_known: whether the prediction was found in the log.
        message: one sentence for people.
    """

    time: str
    prediction_id: str | None
    customer_id: str | None
    label: int
    predicted: int | None
    happened_at: str | None
    is_known: bool
    message: str


class FeedbackStore:
    """Feedback that comes to one worker; each worker has files of its own under ``folder``.

    Safe from any thread. Files are never deleted: labels are rare and precious.

    Args:
        folder: where feedback is kept.
        predictions_folder: where predictions are logged, or None when they are not.
        file_bytes: a file that is larger is closed and a new one begun.
        clock: Unix time.
    """

    def __init__(
        self,
        folder: Path,
        predictions_folder: Path | None = None,
        *,
        file_bytes: int = 16 * 2**20,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._finder = PredictionFinder(predictions_folder) if predictions_folder else None
        self._file_bytes = file_bytes
        self._clock = clock
        self._names = FileNames(KIND)
        self._file: LineFile | None = None
        self._lock = threading.Lock()

    def add(
        self,
        contract: Contract,
        *,
        label: object,
        prediction_id: object = None,
        customer_id: object = None,
        happened_at: object = None,
        predicted: object = None,
    ) -> FeedbackReceipt | Refusal:
        """Judge one piece of feedback and keep it; returns when the disk has it.

        Args:
            contract: says what the labels of its target are called.
            label: what happened: the contract's label, 0, 1, true, false, "Yes" or "No".
            prediction_id: which prediction; this or ``customer_id`` is needed.
            customer_id: whose latest prediction until then.
            happened_at: when, ISO 8601; a day means its end.
            predicted: what the caller says had been predicted, spelled as ``label``.

        Raises:
            FedchurnError: the disk does not take it; it is not kept.
        """
        entry = judge(
            contract,
            now_seconds=self._clock(),
            label=label,
            prediction_id=prediction_id,
            customer_id=customer_id,
            happened_at=happened_at,
            predicted=predicted,
        )
        if isinstance(entry, tuple):
            return Refusal(entry)
        with self._lock:
            found = self._look_up(entry)
            if found and _is_another(entry.customer_id, found.customer_id):
                return Refusal((_another_customer(entry),))
            if found:
                entry = msgspec.structs.replace(entry, predicted=predicted_then(found, contract))
            self._keep(entry)
        return _receipt(entry)

    def close(self) -> None:
        """Close this worker's file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _look_up(self, entry: FeedbackEntry) -> LoggedPrediction | None:
        """The prediction that is meant; None when it is not found, or the log cannot be read."""
        if self._finder is None:
            return None
        try:
            if entry.prediction_id is not None:
                return self._finder.by_id(entry.prediction_id)
            customer = entry.customer_id or ""
            return self._finder.latest_of(customer, before_seconds=entry.until_seconds)
        except (OSError, SourceError) as error:  # the label is worth more than the look-up
            logger.warning("feedback is kept without its prediction: %s", error)
            return None

    def _keep(self, entry: FeedbackEntry) -> None:
        line = line_of(entry)
        try:
            self._writable(entry.time_seconds).append(line, sync=True)
        except OSError as error:
            raise FedchurnError(
                f"the feedback was not kept: {error.strerror or error}",
                where=str(self._folder),
                next_step="give the service room and write access there, then send it again",
            ) from error

    def _writable(self, time_seconds: float) -> LineFile:
        file = self._file
        if file is not None and (file.is_lost or file.size_bytes >= self._file_bytes):
            file.close()
            self._file = file = None
        if file is None:
            file = LineFile(self._folder / self._names.new(time_seconds), HEADER)
            self._file = file
            sync_folder(self._folder)
        return file


def _is_another(said: str | None, logged: str | None) -> bool:
    return None not in (said, logged) and said != logged


def _another_customer(entry: FeedbackEntry) -> RowProblem:
    message = f"prediction {entry.prediction_id} is about another customer"
    return RowProblem("customer_id", entry.customer_id, "", message, "another_customer")


def _receipt(entry: FeedbackEntry) -> FeedbackReceipt:
    then = entry.predicted
    return FeedbackReceipt(
        time=time_text(entry.time_seconds),
        prediction_id=then.prediction_id if then else entry.prediction_id,
        customer_id=then.customer_id if then and then.customer_id else entry.customer_id,
        label=entry.label,
        predicted=then.prediction if then else entry.said,
        happened_at=entry.happened_at,
        is_known=then is not None,
        message=_message(entry),
    )


def _message(entry: FeedbackEntry) -> str:
    if entry.predicted is not None:
        return f"kept, for prediction {entry.predicted.prediction_id}"
    if entry.prediction_id is not None:
        return f"kept; prediction {entry.prediction_id} is unknown yet"
    return "kept; no prediction of this customer is known yet"
