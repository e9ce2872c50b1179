"""The endpoint that Alertmanager calls.

Alerts may come in storms, while customers are waiting: one message at a time is worked on, a few
wait, and further ones are told to come again, which Alertmanager does by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response

from bentos.churn.api.answers_reports import AlertReceipt
from bentos.churn.api.bodies import JSON, media_type, read_json
from bentos.churn.api.endpoints import answered
from bentos.churn.api.findings import Finding, Refused, refused
from bentos.churn.api.parts import ApiParts
from fedchurn.serving.time_text import time_text

MAX_ALERTS = 1000  # in one message; infra/monitoring/alertmanager.yml says the same
MAX_MESSAGES = 16  # in hand, per worker; each holds a body in memory
_COME_AGAIN_SECONDS = 5


class AlertRoutes:
    """See the module docstring; ``parts`` is asked once per request."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts
        self._num_messages = 0
        self._turn: anyio.CapacityLimiter | None = None

    async def drift_alert(self, request: Request) -> Response:
        """Keep what Alertmanager sends, and make triggers of what asks for a retrain."""
        media_type(request, JSON)
        if self._num_messages >= MAX_MESSAGES:
            raise _too_busy()
        self._num_messages += 1
        try:
            return await self._take(request)
        finally:
            self._num_messages -= 1

    async def _take(self, request: Request) -> Response:
        parts = self._parts()
        body = await read_json(request, parts.settings.max_body_bytes)
        alerts = _alerts_in(body)
        self._turn = self._turn or anyio.CapacityLimiter(1)
        taken = await anyio.to_thread.run_sync(parts.alerts.take, body, limiter=self._turn)
        receipt = AlertReceipt(
            status="received",
            num_alerts=len(alerts),
            num_new=taken.num_new,
            num_duplicates=taken.num_duplicates,
            num_triggers=taken.num_triggers,
            timestamp=time_text(time.time()),
        )
        return answered(receipt)


def _too_busy() -> Refused:
    message = f"{MAX_MESSAGES} messages of alerts are in hand; send this one again later"
    limit = f"one in {_COME_AGAIN_SECONDS} seconds"
    found = Finding(message=message, rule="too_many", limit=limit)
    return Refused(503, [found], {"Retry-After": str(_COME_AGAIN_SECONDS)})


def _alerts_in(body: Mapping[str, Any]) -> list[Any]:
    alerts = body.get("alerts")
    if not isinstance(alerts, list) or not all(isinstance(alert, dict) for alert in alerts):
        message = "alerts must be a list of objects, as Alertmanager sends them"
        raise refused(422, "not_a_list", message, field="alerts", value=alerts)
    if len(alerts) > MAX_ALERTS:
        limit = f"at most {MAX_ALERTS}"
        message = f"{len(alerts)} alerts were sent at once; accepted: {limit}"
        raise refused(422, "too_many", message, field="alerts", value=len(alerts), limit=limit)
    return alerts
