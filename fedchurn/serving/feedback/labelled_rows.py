"""Labels that count, joined with the rows that had been scored: what retraining and decay read.

A label counts when its prediction is mature, that is, older than the time in which churn is looked
for. Labels that come earlier are mostly churners, who are seen at once, while somebody who stays is
only known to have stayed when that time is over. A prediction without a label is unknown, mature or
not; nothing here takes it for loyal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Contract
from fedchurn.serving.feedback.entry import PredictedThen
from fedchurn.serving.feedback.reader import read_feedback
from fedchurn.serving.feedback.settling import Settled, SettledLabel, settle
from fedchurn.serving.log.log_reader import read_predictions


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A customer row with what was predicted and what happened.

    Attributes:
        values: canonical values by column; masked columns are absent, None is missing.
        label: what happened: 1 is churn.
        client: name of the client, or None.
        customer_id: as logged, or None.
        prediction_seconds, label_seconds: Unix times of the answer and of its last label.
        prediction: what had been predicted, its id and release.
    """

    values: Mapping[str, Value]
    label: int
    client: str | None
    customer_id: str | None
    prediction_seconds: float
    label_seconds: float
    prediction: PredictedThen


def labelled_rows(
    predictions_folder: Path,
    feedback_folder: Path,
    contract: Contract,
    *,
    mature_before_seconds: float,
    since_seconds: float | None = None,
) -> list[LabelledRow]:
    """Rows with mature labels, oldest prediction first; each prediction once, its last label.

    Only rows that are still logged: without values there is nothing to train on. A customer who was
    scored and labelled several times is there several times.

    Memory grows with the labels, not with the log; the log is read once, 0.2 million lines a
    second.

    Args:
        predictions_folder: where predictions are logged.
        feedback_folder: where feedback is kept.
        contract: predictions of other contracts are passed over.
        mature_before_seconds: Unix time; only predictions up to then.
        since_seconds: only predictions after this Unix time.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    settled = settled_labels(
        predictions_folder, feedback_folder, contract, since_seconds=since_seconds
    )
    return [
        LabelledRow(
            values=one.logged.row(),
            label=one.label,
            client=one.then.client,
            customer_id=one.then.customer_id,
            prediction_seconds=one.then.time_seconds,
            label_seconds=one.label_seconds,
            prediction=one.then,
        )
        for one in mature(settled.found, mature_before_seconds, since_seconds)
        if one.logged is not None
    ]


def settled_labels(
    predictions_folder: Path,
    feedback_folder: Path,
    contract: Contract,
    *,
    since_seconds: float | None = None,
) -> Settled:
    """All labels, mature or not, with the rows behind them as far as they are still logged.

    Args:
        predictions_folder, feedback_folder, contract: as for ``labelled_rows``.
        since_seconds: predictions up to this Unix time are not looked for, and feedback that was
            taken until then is passed over.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    entries = list(read_feedback(feedback_folder, since_seconds=since_seconds))
    if not entries:
        return settle(())
    logged = read_predictions(
        predictions_folder, since_seconds=since_seconds, contract=contract.contract
    )
    return settle(entries, logged, contract)


def mature(
    found: tuple[SettledLabel, ...],
    mature_before_seconds: float,
    since_seconds: float | None = None,
) -> list[SettledLabel]:
    """Those of predictions up to one Unix time and after the other, oldest first."""
    after = float("-inf") if since_seconds is None else since_seconds
    kept = [one for one in found if after < one.then.time_seconds <= mature_before_seconds]
    return sorted(kept, key=lambda one: (one.then.time_seconds, one.then.prediction_id))
