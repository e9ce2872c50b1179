"""Predictions to log, and releases that gave them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.serving.log.log_lines import LoggedPrediction
from fedchurn.serving.log.prediction_log import PredictionLog
from fedchurn.serving.records import PredictionRecord
from tests.unit.release.releases import CONTRACT

START_SECONDS = 1_760_000_000.0
VALUES = (12.0, 159.93, "Phone", "Graz")


def served(contract: Contract = CONTRACT, **changes: Any) -> Any:
    """The part of a ``ServedRelease`` that the log looks at."""
    facts: dict[str, Any] = {
        "contract": contract,
        "release_id": "shop-1.2.0-0123456789ab",
        "version": "3",
        "role": "champion",
        "id_column": contract.id.column if contract.id else None,
    }
    return SimpleNamespace(**(facts | changes))


SERVED = served()


def record(number: int = 1, **changes: Any) -> PredictionRecord:
    """Prediction ``number``, answered ``number`` milliseconds after the start."""
    facts: dict[str, Any] = {
        "time_seconds": START_SECONDS + number / 1000,
        "prediction_id": f"00112233445566778899-{number:x}",
        "customer_id": f"C{number}",
        "values": VALUES,
        "probability": 0.25,
        "prediction": 0,
        "risk_level": "Low",
        "model_used": "champion",
        "fallback_reason": None,
        "served": SERVED,
        "latency_seconds": 0.0001,
        "warnings": (),
        "endpoint": "/predict",
        "quick": False,
    }
    return PredictionRecord(**(facts | changes))


def records(numbers: Iterable[int], **changes: Any) -> list[PredictionRecord]:
    return [record(number, **changes) for number in numbers]


def log(folder: Path, taken: Sequence[PredictionRecord], **settings: Any) -> None:
    """Have a worker of its own log ``taken`` and end."""
    one = PredictionLog(folder, **settings)
    one.take(taken)
    one.close()


def numbers(found: Iterable[LoggedPrediction]) -> list[int]:
    """Which predictions these are."""
    return [int(one.prediction_id.rsplit("-", 1)[1], 16) for one in found]
