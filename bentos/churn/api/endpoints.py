"""What every endpoint shares: errors in one shape, whatever happens, and answers as JSON."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from bentos.churn.api.answers import json_bytes
from bentos.churn.api.findings import Errors, Refused, refused
from fedchurn.errors import FedchurnError

logger = logging.getLogger("bentoml.churn.api")

Endpoint = Callable[[Request], Awaitable[Response]]


def answered(content: object, status: int = 200) -> Response:
    """``content`` as a JSON answer."""
    return Response(json_bytes(content), status_code=status, media_type="application/json")


def guarded(endpoint: Endpoint) -> Endpoint:
    """``endpoint`` with every failure in the one error shape; never a traceback, never a row."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refused as error:
            return _refusal(error)
        except FedchurnError as error:
            logger.error("%s: %s", request.url.path, type(error).__name__)
            limit = error.next_step or None
            return _refusal(refused(503, "unavailable", error.what, limit=limit))
        except HTTPException:
            raise  # 404, 405 and the gate's own; others give them their shape
        except Exception as error:
            # The message of an unforeseen error may quote a customer's row: only its place is told.
            place = "".join(traceback.format_tb(error.__traceback__))
            logger.error("%s: unforeseen %s\n%s", request.url.path, type(error).__name__, place)
            message = "the service met an error that it did not foresee; its log says more"
            return _refusal(refused(500, "unexpected", message))

    return answer


def application(routes: list[BaseRoute]) -> Starlette:
    """The routes as an application that refuses other paths and methods in the one shape."""
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_error})
    app.router.redirect_slashes = False
    return app


def flag(request: Request, name: str) -> bool | None:
    """A query parameter that is true or false, or None where it is absent.

    Raises:
        Refused: it is something else.
    """
    given = request.query_params.get(name)
    if given is None:
        return None
    known = {"true": True, "1": True, "false": False, "0": False}.get(given.lower())
    if known is None:
        message = f"{name} must be true or false"
        raise refused(422, "not_a_flag", message, field=name, value=given, limit="true or false")
    return known


def choice(request: Request, name: str, accepted: Mapping[str, str]) -> str | None:
    """A query parameter that is one of ``accepted``, as its value there; None where absent.

    Raises:
        Refused: it is something else.
    """
    given = request.query_params.get(name)
    if given is None:
        return None
    if given not in accepted:
        limit = ", ".join(accepted)
        message = f"{name} must be one of: {limit}"
        raise refused(422, "not_a_label", message, field=name, value=given, limit=limit)
    return accepted[given]


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    words = {
        404: ("not_found", f"there is no {path!r} here"),
        405: ("method_not_allowed", f"{path!r} does not take {request.method[:20]}"),
        413: ("too_large", "the body is too large"),
    }
    rule, message = words.get(error.status_code, ("refused", error.detail))
    allow = (error.headers or {}).get("Allow")
    found = refused(error.status_code, rule, message, limit=allow)
    found.headers.update(error.headers or {})
    return _refusal(found)


def _refusal(error: Refused) -> Response:
    return Response(
        json_bytes(Errors(error.findings)),
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )
