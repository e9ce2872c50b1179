"""Ground truth as it comes back: judged, kept for good, and told what it is about.

Labels come weeks after the prediction, when its log file may be gone. So what was predicted is
looked up when the label comes, and kept beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedchurn.contract.schema import Contract
from fedchurn.serving.records import Refusal


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
    """Feedback of one worker; each worker has a file of its own under ``folder``.

    Args:
        folder: where feedback is kept.
        predictions_folder: where predictions are logged, or None when they are not.
    """

    def __init__(self, folder: Path, predictions_folder: Path | None = None) -> None:
        self._folder = folder
        self._predictions_folder = predictions_folder

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
            customer_id: whose latest prediction.
            happened_at: when, ISO 8601.
            predicted: what the caller says had been predicted, spelled as ``label``.

        Raises:
            FedchurnError: the disk does not take it; it is not kept.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close this worker's file."""
