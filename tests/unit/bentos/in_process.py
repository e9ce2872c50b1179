"""The service in this process, started and stopped as a server would, without a port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal


class Client:
    """Sends requests to the service and waits for the answers."""

    def __init__(self, portal: BlockingPortal, client: httpx.AsyncClient) -> None:
        self._portal, self._client = portal, client

    def get(self, path: str) -> httpx.Response:
        return self._portal.call(self._client.get, path)

    def post(self, path: str, **content: Any) -> httpx.Response:
        return self._portal.call(partial(self._client.post, path, **content))


@contextmanager
def running_service() -> Iterator[Client]:
    """A client of the service, which loads the release that the environment names."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_started()) as client,
    ):
        yield Client(portal, client)


@asynccontextmanager
async def _started() -> AsyncIterator[httpx.AsyncClient]:
    from bentos.churn.service import Churn  # importing bentoml warns; see test_service.py

    app = Churn.to_asgi()
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client
