"""Customers whose predictions were logged and whose labels came back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.contract.schema import Contract
from fedchurn.serving.feedback.store import FeedbackStore
from fedchurn.serving.log.prediction_log import PredictionLog
from tests.unit.serving.logged import record, served

NOW = "2026-03-01T12:00:00+00:00"
DAY_SECONDS = 86_400.0


def seconds(days_ago: float) -> float:
    """Unix time so many days before ``NOW``."""
    now = datetime.fromisoformat(NOW).astimezone(UTC)
    return now.timestamp() - days_ago * DAY_SECONDS


def came_back(
    home: Path,
    contract: Contract,
    frame: pd.DataFrame,
    *,
    ids: Sequence[str | None] | None = None,
    days_ago: float = 60.0,
    mark: str = "00112233445566778899",
) -> list[str]:
    """Log one prediction per source row and give it the row's outcome as label.

    Returns:
        The prediction ids.
    """
    service = home / "service" / contract.contract
    key = contract.id.column if contract.id else None
    release = served(contract)
    target = contract.target
    records = []
    for number, row in enumerate(frame.to_dict("records"), start=1):
        source = {name: row[name] for name in contract.columns}
        judged = canonical_row(source, contract)
        assert not judged.problems, judged.problems
        customer = ids[number - 1] if ids is not None else (str(row[key]) if key else None)
        records.append(
            record(
                number,
                time_seconds=seconds(days_ago) + number,
                prediction_id=f"{mark}-{number:x}",
                customer_id=customer,
                values=tuple(judged.values[name] for name in contract.columns),
                served=release,
            )
        )
    log = PredictionLog(service / "predictions")
    log.take(records)
    log.close()
    clock = seconds(days_ago - 1.0)
    store = FeedbackStore(
        service / "feedback", service / "predictions", clock=lambda: clock + len(frame)
    )
    for made, outcome in zip(records, frame[target.column], strict=True):
        label = int(str(outcome) == str(target.positive))
        store.add(contract, prediction_id=made.prediction_id, label=label)
    return [made.prediction_id for made in records]
