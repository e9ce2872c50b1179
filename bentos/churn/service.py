"""BentoML service ``churn``: the release in production answers about customers.

    bentoml serve            from a checkout, or of a bento (``fedchurn package``)

What a worker is made of stands in ``worker.py``; docs/serving.md has the way of a request.
"""

from __future__ import annotations

import os
import time
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException

from bentos.churn.adaptive import Customer, adaptive_answers, current_parts
from bentos.churn.bento_internals import FrontedService
from bentos.churn.bento_release import bundled_release
from bentos.churn.front import Opened
from bentos.churn.routes import api_app
from bentos.churn.worker import Worker, first_champion
from fedchurn.errors import FedchurnError
from fedchurn.serving.prometheus_exposition import completed


@bentoml.service(
    name="churn",
    workers=1,
    traffic={"timeout": 10},
    logging={"access": {"enabled": False}},  # the prediction log has more, and costs less
    service_class=FrontedService,
)
@bentoml.asgi_app(api_app(current_parts), path="/")
class Churn:
    """Churn probabilities of customers, explained and recorded."""

    def __init__(self) -> None:
        self._worker = Worker(os.environ, bundled_release(Churn.bento))
        self.parts = self._worker.parts

    def open(self, application: Any) -> Opened:
        """Called by the front when BentoML's ``application`` has started."""
        return self._worker.open(application)

    @bentoml.on_deployment
    @staticmethod
    def refuse_a_bad_release() -> None:
        """Before the port opens: a worker that fails to start would be started again for ever."""
        try:
            first_champion(os.environ, bundled_release(Churn.bento))
        except FedchurnError as error:
            raise BentoMLException(str(error)) from error

    @bentoml.on_shutdown
    def stop(self) -> None:
        """Nothing that was answered goes unrecorded."""
        self._worker.stop()

    def __metrics__(self, text: str) -> str:
        """Called by BentoML with what ``/metrics`` would say."""
        return completed(text)

    @bentoml.api(route="/predict/adaptive", batchable=True, max_batch_size=1000, max_latency_ms=100)
    def predict_adaptive(self, customers: list[Customer]) -> list[dict[str, Any]]:
        """Rows of concurrent requests, answered together: BentoML's adaptive batching."""
        return adaptive_answers(self.parts, customers, time.perf_counter())
