"""The routes as BentoML mounts them: named with the service, made when a worker starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bentoml

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from bentos.churn.api.parts import ApiParts


class MountedApi:
    """ASGI application of every route of ours."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    def load(self) -> None:
        """Import and make the routes; a worker does so before it answers."""
        from bentos.churn.api.routes import api_app  # not in the arbiter, which answers nothing

        self._app = api_app(current_parts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        await self._app(scope, receive, send)


def current_parts() -> ApiParts:
    """What the running worker is made of."""
    parts: ApiParts = bentoml.get_current_service().parts
    return parts
