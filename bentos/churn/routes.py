"""Every route of the API, and the application that they make."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from bentos.churn.api_parts import ApiParts
from bentos.churn.endpoints import Endpoint, application, guarded
from bentos.churn.routes_predict import PredictRoutes

Parts = Callable[[], ApiParts]


def routes(parts: Parts) -> list[BaseRoute]:
    """The routes; ``parts`` is called once per request, when the service has started."""
    predict = PredictRoutes(parts)
    return [
        *_get({"/predict/template.csv": predict.csv_template}),
        *_post(
            {
                "/predict": predict.predict,
                "/predict/single": predict.predict_single,
                "/predict/batch": predict.predict_batch,
            }
        ),
    ]


def api_app(parts: Parts) -> Starlette:
    """The application; other paths and methods are refused in the one error shape."""
    return application(routes(parts))


def _get(endpoints: dict[str, Endpoint]) -> list[Route]:
    return [Route(path, guarded(found), methods=["GET"]) for path, found in endpoints.items()]


def _post(endpoints: dict[str, Endpoint]) -> list[Route]:
    return [Route(path, guarded(found), methods=["POST"]) for path, found in endpoints.items()]
