"""Endpoints that say what answers, how it is, and who has answered."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from bentos.churn.api.answers_status import Experiment, FallbackStats, Health, Index, Ready
from bentos.churn.api.compat import model_info
from bentos.churn.api.endpoints import answered
from bentos.churn.api.findings import Finding
from bentos.churn.api.parts import ApiParts
from fedchurn import __version__
from fedchurn.serving.live import Serving
from fedchurn.serving.time_text import time_text

ENDPOINTS = {
    "predict": "/predict",
    "predict_single": "/predict/single",
    "predict_batch": "/predict/batch",
    "health": "/health",
    "ready": "/ready",
    "metrics": "/metrics",
    "model-info": "/model-info",
    "release": "/release",
    "reload-model": "/reload-model",
    "fallback-stats": "/fallback-stats",
    "drift-status": "/drift-status",
    "check-drift": "/check-drift",
    "feedback": "/feedback",
    "performance": "/monitoring/performance",
    "experiments": "/experiments",
    "docs": "/docs",
    "openapi": "/openapi.json",
}


class StatusRoutes:
    """See the module docstring; ``parts`` is asked once per request."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts

    async def index(self, _: Request) -> Response:
        """What this is, and where to go on."""
        served = self._parts().live.state.champion
        return answered(
            Index(
                service="churn",
                message="Fedchurn answers how likely a customer is to leave; POST one to /predict",
                version=__version__,
                contract=served.contract.contract,
                model_version=served.version,
                release=served.release_id,
                fallback_enabled=True,
                docs="/docs",
                health="/health",
                metrics="/metrics",
                mlflow_tracking_uri=None,
                endpoints=ENDPOINTS,
            )
        )

    async def health(self, _: Request) -> Response:
        """Whether the service can answer: it tries."""
        found = await run_in_threadpool(health, self._parts())
        return answered(found, 503 if found.status == "unhealthy" else 200)

    async def ready(self, _: Request) -> Response:
        """Routes exist for a worker only after its release has proven itself."""
        self._parts()
        return answered(Ready("ready", time_text(time.time())))

    async def model_info(self, _: Request) -> Response:
        """The release that answers."""
        parts = self._parts()
        counts = await run_in_threadpool(_counts, parts)
        return answered(model_info(parts.live.state.champion, counts.total_predictions))

    async def release(self, _: Request) -> Response:
        """The card of the release that answers."""
        served = self._parts().live.state.champion
        known = {"release": served.release_id, "model_version": served.version}
        return answered({**known, **served.release.card.to_dict()})

    async def fallback_stats(self, _: Request) -> Response:
        """Who has answered, and why it was not the champion."""
        counts = await run_in_threadpool(_counts, self._parts())
        return answered(
            FallbackStats(
                total_predictions=counts.total_predictions,
                fallback_count=counts.fallback_count,
                fallback_rate=counts.fallback_rate,
                fallback_reasons=counts.fallback_reasons,
                handler_usage=counts.by_model_used,
                by_model_used=counts.by_model_used,
            )
        )

    async def experiments(self, _: Request) -> Response:
        """What champion and challenger have answered."""
        parts = self._parts()
        state = parts.live.state
        report = await run_in_threadpool(parts.experiment) if parts.experiment else None
        return answered(
            Experiment(
                is_active=state.challenger is not None,
                champion=state.champion.release_id,
                challenger=state.challenger.release_id if state.challenger else None,
                ab_fraction=state.ab_fraction,
                shadow_fraction=state.shadow_fraction,
                challenger_fault=state.challenger_fault,
                report=report,
            )
        )


def health(parts: ApiParts) -> Health:
    """The state of this worker and what it knows of others; blocking."""
    state = parts.live.state
    fault = cannot_answer(state)
    condition: Mapping[str, Any] = parts.reloader.condition() if parts.reloader else {}
    drift: Mapping[str, Any] = parts.drift.status() if parts.drift else {}
    words = _in_full if not parts.settings.api_keys else _without_places
    now = time.time()
    return Health(
        status=_status(state, fault, condition),
        timestamp=time_text(now),
        version=__version__,
        contract=state.champion.contract.contract,
        release=state.champion.release_id,
        model_version=state.champion.version,
        model_loaded=True,
        preprocessor_loaded=True,
        champion_fault=state.champion_fault,
        challenger_fault=words(state.challenger_fault),
        golden_rows=condition.get("golden_rows"),
        last_reload_failure=words(condition.get("last_reload_failure")),
        num_workers=int(condition.get("num_workers", 1)),
        num_serving=int(condition.get("num_serving", 1)),
        workers=[] if parts.settings.api_keys else list(condition.get("workers", ())),
        uptime_seconds=round(max(0.0, now - parts.started_seconds), 3),
        predictions_made=_counts(parts).total_predictions,
        drift_monitoring_active=bool(drift.get("monitoring_active", False)),
        reference_data_size=int(drift.get("reference_samples", 0)),
        monitoring_data_size=int(drift.get("monitoring_samples", 0)),
        errors=[Finding(message=fault, rule="unavailable")] if fault else UNSET,
    )


def _in_full(fault: str | None) -> str | None:
    return fault


def _without_places(fault: str | None) -> str | None:
    """Anybody may ask for health, also where keys are asked for; folders are not for anybody."""
    return fault and "the service's log says why"


def cannot_answer(state: Serving) -> str | None:
    """Why no answer can be given, or None: the first golden row is asked of the whole chain."""
    served = state.champion
    try:
        rows = [dict(row) for row in served.release.golden.rows[:1]]
        (outcome,) = served.chain.answer(rows, state.champion_fault)
    except Exception as error:
        return f"no step of the fallback chain answers: {type(error).__name__}"
    return None if math.isfinite(outcome.probability) else "the answer is not a number"


def _status(state: Serving, fault: str | None, condition: Mapping[str, Any]) -> Any:
    if fault is not None:
        return "unhealthy"
    is_degraded = state.champion_fault is not None or condition.get("last_reload_failure")
    return "degraded" if is_degraded else "healthy"


def _counts(parts: ApiParts) -> Any:
    """Counts that include what was answered until now."""
    parts.flush()
    return parts.metrics.fallback_counts()
