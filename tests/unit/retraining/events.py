"""Triggers and situations to decide about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fedchurn.retraining.situation import NewRows, Situation
from fedchurn.retraining.trigger import Source, Trigger

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIVE = "shop-1.0.0-aaaaaaaaaaaa"
ENOUGH = NewRows(num_labelled=300, num_positive=60)


def at(hours: float) -> str:
    """So many hours after the start."""
    return (START + timedelta(hours=hours)).isoformat()


def drift(number: int = 1, **changes: Any) -> Trigger:
    """Drift in window ``number``."""
    facts: dict[str, Any] = {
        "key": f"window-{number}",
        "source": Source.DRIFT,
        "time": at(0),
        "summary": "Tenure drifted.",
        "release_id": LIVE,
        "evidence": {"window_id": f"w{number}", "subjects": ["covariate"], "columns": ["Tenure"]},
    }
    return Trigger(**(facts | changes))


def manual(*, force: bool = False) -> Trigger:
    """A person asks."""
    return Trigger("manual 1", Source.MANUAL, at(0), "anna asks", "", {"force": force})


def situation(**changes: Any) -> Situation:
    """One in which a retrain is worth it."""
    facts: dict[str, Any] = {"time": at(0), "champion_release_id": LIVE, "new_rows": ENOUGH}
    return Situation(**(facts | changes))
