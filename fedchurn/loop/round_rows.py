"""Round records as the rows of the two round tables."""

from __future__ import annotations

from collections.abc import Sequence

from fedchurn.evaluation.round_table import CLIENT_METRICS, ClientRoundRow, RoundRow
from fedchurn.federation.training.state import RoundRecord

NAN = float("nan")


def round_rows(records: Sequence[RoundRecord]) -> list[RoundRow]:
    """One row per round; refit rounds have no validation metrics, for those rows train there."""
    return [
        RoundRow(
            round_num=r.round_num,
            train_loss=float(r.train.get("loss", r.train.get("log_loss", NAN))),
            train_accuracy=float(r.train.get("accuracy", NAN)),
            train_auc=float(r.train.get("roc_auc", NAN)),
            **{
                f"eval_{name}": float(r.validation.get(name, NAN))
                for name in ("accuracy", "precision", "recall", "f1", "roc_auc")
            },
        )
        for r in records
    ]


def client_round_rows(records: Sequence[RoundRecord]) -> list[ClientRoundRow]:
    """Every client's validation metrics in every round."""
    return [
        ClientRoundRow(record.round_num, client, name, float(numbers[f"validation_{name}"]))
        for record in records
        for client, numbers in sorted(record.per_client.items())
        for name in CLIENT_METRICS
        if f"validation_{name}" in numbers
    ]
