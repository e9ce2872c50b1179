"""All that reaches below BentoML's public surface; written for 1.4 (the lock pins it).

- ``FrontedService``: what ``to_asgi`` returns is what a worker serves; wrapping it is the only way
  to stand before Bento's own middleware (``add_asgi_middleware`` puts ours behind it).
- ``server_series``: the metric objects of Bento's traffic middleware, so that requests which never
  reach it are counted in the same ``bentoml_service_request_*`` series.
- ``whole_stack_reason``: switches of Bento that only its own middleware can honour.
- ``bentoml_home``: where BentoML's stores are.
- ``num_workers``: how many processes serve, which Bento tells nobody.
- ``WithoutRows``: Bento logs every refused body with its traceback, which quotes a customer's row.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _bentoml_sdk import Service
from _bentoml_sdk.service import get_current_service
from bentoml._internal.container import BentoMLContainer
from bentoml._internal.context import server_context
from bentoml._internal.resource import system_resources
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from bentos.churn.lane.front import Opened
    from fedchurn.serving.metrics.prometheus_http import ServerSeries


class WithoutRows(logging.Filter):
    """Leaves of exceptions their type and place, for their words may quote a customer's row.

    Bodies that are refused, or that their caller did not finish, are not logged at all.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record, which is changed."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        place = "".join(traceback.format_tb(error.__traceback__))
        record.args = (record.getMessage(), type(error).__name__, place)
        record.msg = "%s: %s\n%s"
        record.exc_info = None
        return not isinstance(error, ValidationError | ClientDisconnect)


_bentos_log = logging.getLogger("bentoml._internal.server.http_app")
_without_rows = WithoutRows()


class FrontedService(Service[Any]):
    """A service whose workers serve ``Front`` around Bento's application."""

    def to_asgi(self, is_main: bool = True) -> Any:
        """The application that a worker serves."""
        from bentos.churn.lane.front import Front  # not in the arbiter, which answers nothing

        _bentos_log.addFilter(_without_rows)
        return Front(super().to_asgi(is_main), _open_worker)


def _open_worker(application: Any) -> Opened:
    """The instance that Bento made when the application started says how it is to be fronted."""
    opened: Opened = get_current_service().open(application)
    return opened


def server_series(application: Any) -> ServerSeries | None:
    """Bento's request series inside a started application; None when its metrics are off."""
    # Imports prometheus_client, which looks for the worker's folder.
    from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware

    from fedchurn.serving.metrics.prometheus_http import ServerSeries

    layer = application.middleware_stack
    while layer is not None and not isinstance(layer, RunnerTrafficMetricsMiddleware):
        layer = getattr(layer, "app", None)
    if layer is None:
        return None
    if not layer._is_setup:
        layer._setup()
    return ServerSeries(
        request_total=layer.metrics_request_total,
        request_duration=layer.metrics_request_duration,
        last_request_timestamp=layer.metrics_last_request_timestamp,
        labels={
            "service_name": server_context.bento_name,
            "service_version": server_context.bento_version,
            "runner_name": server_context.service_name,
        },
    )


def whole_stack_reason() -> str | None:
    """Why every request must pass Bento's whole stack, or None."""
    config = BentoMLContainer.api_server_config
    if config.logging.access.enabled.get():
        return "the access log is on"
    if BentoMLContainer.config.tracing.exporter_type.get():
        return "BentoML's own tracing is on"
    return None


def num_workers() -> int:
    """Processes that serve this service, as configured."""
    configured = BentoMLContainer.config.services[server_context.service_name].workers.get()
    return system_cpus() if configured == "cpu_count" else int(configured or 1)


def system_cpus() -> int:
    """Processors as BentoML counts them for ``cpu_count``."""
    return int(system_resources()["cpu"])


def bentoml_home(bento: Any) -> Path:
    """The folder of BentoML's stores: ``BENTOML_HOME``, or a folder of the user.

    A relative one speaks of where the server was started, which nobody knows any more; then it is
    where ``bento`` lies: STORES/bentos/NAME/VERSION.
    """
    home = Path(BentoMLContainer.bentoml_home.get())
    return home if home.is_absolute() else Path(bento.path).resolve().parents[2]
