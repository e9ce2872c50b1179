"""BentoML service ``churn``: the release in production answers about customers.

    bentoml serve            from a checkout, or of a bento (``fedchurn package``)

What a worker is made of stands in ``worker.py``; docs/serving.md has the way of a request.

BentoML's arbiter imports this module too, and waits for it before it starts a worker. It needs the
class and ``arbiter.py``; so what only workers need is imported by ``Churn.__init__``.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import bentoml
from bentoml.exceptions import BentoMLException

from bentos.churn.api.adaptive import Customers, adaptive_answers
from bentos.churn.api.mounted import MountedApi
from bentos.churn.arbiter import await_refusals, check_start, end_server
from bentos.churn.bento_environ import bento_environ
from bentos.churn.bento_internals import FrontedService, bentoml_home
from bentos.churn.bento_release import BundledRelease, bundled_release
from fedchurn.errors import FedchurnError
from fedchurn.quiet import QUIET_ENVIRONMENT

if TYPE_CHECKING:
    from bentos.churn.lane.front import Opened
    from bentos.churn.worker.worker import Worker

# No telemetry, and one thread for linear algebra: a row is too small for two.
WORKER_ENVIRONMENT = (
    "BENTOML_DO_NOT_TRACK",
    "DO_NOT_TRACK",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)

_api = MountedApi()


@bentoml.service(
    name="churn",
    workers=1,
    traffic={"timeout": 10},
    logging={"access": {"enabled": False}},  # the prediction log has more, and costs less
    # Workers and images get these before numpy is loaded, unless the environment says otherwise.
    envs=[
        *({"name": name, "value": QUIET_ENVIRONMENT[name]} for name in WORKER_ENVIRONMENT),
        # uvicorn takes callers' addresses from X-Forwarded-For where the peer is this machine, so
        # anybody behind a local proxy could choose one and pass the rate limit.
        {"name": "FORWARDED_ALLOW_IPS", "value": "nobody"},
    ],
    service_class=FrontedService,
)
@bentoml.asgi_app(_api, path="/")
class Churn:
    """Churn probabilities of customers, explained and recorded."""

    def __init__(self) -> None:
        gc.disable()  # what is made here stays; looking through it takes a tenth of a second
        try:
            self._worker = _new_worker()
        finally:
            gc.enable()
        self.parts = self._worker.parts

    def open(self, application: Any) -> Opened:
        """Called by the front when BentoML's ``application`` has started."""
        return self._worker.open(application)

    @bentoml.on_deployment
    @staticmethod
    def refuse_a_bad_release() -> None:
        """Before the port opens."""
        try:
            check_start(*_surroundings())
        except FedchurnError as error:
            raise BentoMLException(str(error)) from error

    @bentoml.on_deployment
    @staticmethod
    def await_refusals() -> None:
        """A worker that cannot start would be started again for ever."""
        await_refusals(os.environ)

    @bentoml.on_shutdown
    def stop(self) -> None:
        """Nothing that was answered goes unrecorded."""
        self._worker.stop()

    def __metrics__(self, text: str) -> str:
        """Called by BentoML with what ``/metrics`` would say."""
        from fedchurn.serving.metrics.prometheus_exposition import completed

        return completed(text)

    @bentoml.api(route="/predict/adaptive", batchable=True, max_batch_size=1000, max_latency_ms=100)
    def predict_adaptive(self, customers: Customers) -> list[dict[str, Any]]:
        """Rows of concurrent requests, answered together: BentoML's adaptive batching."""
        return adaptive_answers(self.parts, customers, time.perf_counter())


def _new_worker() -> Worker:
    from bentos.churn.worker.worker import Worker

    _api.load()
    environ, bundled = _surroundings()
    try:
        return Worker(environ, bundled)
    except FedchurnError as error:
        end_server(error, environ)
        raise


def _surroundings() -> tuple[Mapping[str, str], BundledRelease | None]:
    """Environment and release of the bento that this runs from, or those of a checkout."""
    bento = Churn.bento
    if bento is None:
        return os.environ, None
    bundled = bundled_release(bento)
    return bento_environ(os.environ, bundled, bentoml_home(bento)), bundled
