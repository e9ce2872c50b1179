"""Records of predictions made by hand, about the small contract of ``releases``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedchurn.release.write import write_release
from fedchurn.serving.records import CHAMPION, PredictionRecord
from fedchurn.serving.served_release import ServedRelease, serve_release
from tests.unit.release.releases import parts


def served(
    folder: Path, *, role: str = CHAMPION, version: str | None = "7", **changes: Any
) -> ServedRelease:
    """A release that was written below ``folder`` and made ready."""
    return serve_release(write_release(parts(**changes), folder), version, role=role)


def record(by: ServedRelease, **changes: Any) -> PredictionRecord:
    """A customer who stays, scored in a quarter of a second; ``changes`` are other attributes."""
    known: dict[str, Any] = {
        "time_seconds": 1.0,
        "prediction_id": "1-1",
        "customer_id": "Ada",
        "values": (12.0, 99.5, "Phone", "Oslo"),
        "probability": 0.125,
        "prediction": 0,
        "risk_level": "Low",
        "model_used": by.role,
        "fallback_reason": None,
        "served": by,
        "latency_seconds": 0.25,
        "warnings": (),
        "endpoint": "/predict",
        "quick": True,
    }
    return PredictionRecord(**(known | changes))
