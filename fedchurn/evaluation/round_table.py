"""Metrics of every round as two CSV files: pooled (wide) and per client (long)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fedchurn.evaluation.artifact import write_artifact
from fedchurn.evaluation.metrics import DEFAULT_THRESHOLD, Metrics, metrics
from fedchurn.evaluation.sums import ScoreSums

ROUND_FILE = "per_round_metrics.csv"
CLIENT_ROUND_FILE = "per_client_round_metrics.csv"
CLIENT_METRICS = ("num_rows", "log_loss", "accuracy", "precision", "recall", "f1", "roc_auc")


@dataclass(frozen=True)
class RoundRow:
    """Pooled metrics after one round, NaN where unknown.

    Attributes:
        round_num: 1-based; 0 is the model before training. Column ``round`` in the file.
        train_loss: mean log loss of training rows.
        eval_accuracy: and the other ``eval_`` fields: on validation rows, never test rows.
    """

    round_num: int
    train_loss: float
    train_accuracy: float
    train_auc: float
    eval_accuracy: float
    eval_precision: float
    eval_recall: float
    eval_f1: float
    eval_roc_auc: float


@dataclass(frozen=True)
class ClientRoundRow:
    """One metric of one client's validation rows after one round."""

    round_num: int
    client: str
    metric: str
    value: float


ROUND_METRICS = tuple(field.name for field in fields(RoundRow))[1:]


def round_row(
    round_num: int,
    train: ScoreSums | None,
    evaluation: ScoreSums,
    threshold: float = DEFAULT_THRESHOLD,
) -> RoundRow:
    """One row from the pooled sums of a round; ``train`` is None when it was not measured."""
    fit: Metrics = metrics(train or ScoreSums.zero(), threshold)
    held_out = metrics(evaluation, threshold)
    return RoundRow(
        round_num,
        fit.log_loss,
        fit.accuracy,
        fit.roc_auc,
        held_out.accuracy,
        held_out.precision,
        held_out.recall,
        held_out.f1,
        held_out.roc_auc,
    )


def client_round_rows(
    round_num: int,
    evaluations: Mapping[str, ScoreSums],
    threshold: float = DEFAULT_THRESHOLD,
) -> tuple[ClientRoundRow, ...]:
    """Long rows of one round: clients by name, metrics in the order of ``CLIENT_METRICS``."""
    return tuple(
        ClientRoundRow(round_num, client, name, float(getattr(result, name)))
        for client, result in ((c, metrics(evaluations[c], threshold)) for c in sorted(evaluations))
        for name in CLIENT_METRICS
    )


def write_round_table(rows: Sequence[RoundRow], folder: Path) -> Path:
    """Write ``per_round_metrics.csv``; an unknown value is an empty cell."""
    records = [asdict(row) for row in rows]
    header = ["round", *ROUND_METRICS]
    return write_artifact(folder / ROUND_FILE, _csv(header, (r.values() for r in records)))


def write_client_round_table(rows: Sequence[ClientRoundRow], folder: Path) -> Path:
    """Write ``per_client_round_metrics.csv``: round, client, metric, value."""
    records = ((r.round_num, r.client, r.metric, r.value) for r in rows)
    header = ["round", "client", "metric", "value"]
    return write_artifact(folder / CLIENT_ROUND_FILE, _csv(header, records))


def _csv(header: Sequence[str], records: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for record in records:
        writer.writerow(["" if _unknown(value) else value for value in record])
    return text.getvalue().encode("utf-8")


def _unknown(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
