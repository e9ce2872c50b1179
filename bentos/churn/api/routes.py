"""Every route of the API, and the application that they make."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from bentos.churn.api.endpoints import Endpoint, application, guarded
from bentos.churn.api.openapi_operations import ALIASES
from bentos.churn.api.pages import Pages
from bentos.churn.api.parts import ApiParts
from bentos.churn.api.routes_alerts import AlertRoutes
from bentos.churn.api.routes_predict import PredictRoutes
from bentos.churn.api.routes_reports import ReportRoutes
from bentos.churn.api.routes_status import StatusRoutes

Parts = Callable[[], ApiParts]


def routes(parts: Parts) -> list[BaseRoute]:
    """The routes; ``parts`` is called once per request, when the service has started."""
    return [
        *_routes("GET", _readers(parts)),
        *_routes("POST", _callers(parts)),
    ]


def api_app(parts: Parts) -> Starlette:
    """The application; other paths and methods are refused in the one error shape."""
    return application(routes(parts))


def _readers(parts: Parts) -> dict[str, Endpoint]:
    status, reports, pages = StatusRoutes(parts), ReportRoutes(parts), Pages(parts)
    return {
        "/": status.index,
        "/health": status.health,
        "/ready": status.ready,
        "/model-info": status.model_info,
        "/release": status.release,
        "/fallback-stats": status.fallback_stats,
        "/experiments": status.experiments,
        "/drift-status": reports.drift_status,
        "/monitoring/performance": reports.performance,
        "/predict/template.csv": PredictRoutes(parts).csv_template,
        "/openapi.json": pages.openapi,
        "/docs": pages.docs,
        "/docs.js": pages.docs_script,
        "/docs.css": pages.docs_style,
    }


def _callers(parts: Parts) -> dict[str, Endpoint]:
    predict, reports = PredictRoutes(parts), ReportRoutes(parts)
    return {
        "/predict": predict.predict,
        "/predict/single": predict.predict_single,
        "/predict/batch": predict.predict_batch,
        "/feedback": reports.feedback,
        "/monitoring/feedback": reports.feedback_by_query,
        "/check-drift": reports.check_drift,
        "/reload-model": reports.reload_model,
        "/webhook/drift-alert": AlertRoutes(parts).drift_alert,
    }


def _routes(method: str, endpoints: dict[str, Endpoint]) -> list[Route]:
    """A route per endpoint, and per other name of it."""
    paths = {path: path for path in endpoints}
    paths |= {alias: path for alias, path in ALIASES.items() if path in endpoints}
    return [Route(name, guarded(endpoints[path]), methods=[method]) for name, path in paths.items()]
