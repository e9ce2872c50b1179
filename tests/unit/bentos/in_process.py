"""The service in this process, started and stopped as a server would, without a port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import httpx
import prometheus_client
from anyio.from_thread import BlockingPortal, start_blocking_portal
from prometheus_client.registry import Collector


class Client:
    """Sends requests to the service and waits for the answers."""

    def __init__(self, portal: BlockingPortal, client: httpx.AsyncClient) -> None:
        self._portal, self._client = portal, client

    def get(self, path: str, **content: Any) -> httpx.Response:
        return self._portal.call(partial(self._client.get, path, **content))

    def post(self, path: str, **content: Any) -> httpx.Response:
        return self._portal.call(partial(self._client.post, path, **content))


@contextmanager
def running_service() -> Iterator[Client]:
    """A client of the service, which loads the release that the environment names."""
    known = set(_collectors())
    try:
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(_started()) as client,
        ):
            yield Client(portal, client)
    finally:
        # BentoML registers its metrics at every start, and a name can be taken only once.
        for collector in set(_collectors()) - known:
            prometheus_client.REGISTRY.unregister(collector)


def _collectors() -> list[Collector]:
    return list(prometheus_client.REGISTRY._collector_to_names)


@asynccontextmanager
async def _started() -> AsyncIterator[httpx.AsyncClient]:
    from bentoml import server_context  # importing bentoml warns; see test_service.py

    from bentos.churn.service import Churn

    server_context.service_name = server_context.bento_name = Churn.name  # as its worker does
    server_context.bento_version = "not available"
    app = Churn.to_asgi()
    transport = httpx.ASGITransport(app)
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """The ASGI lifespan protocol, as a server speaks it: nothing is answered before it started."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(app(scope, to_app.get, from_app.put))
    await _said(to_app, from_app, task, "startup")
    try:
        yield
    finally:
        await _said(to_app, from_app, task, "shutdown")
        await task


async def _said(to_app: Any, from_app: Any, task: asyncio.Task[None], what: str) -> None:
    await to_app.put({"type": f"lifespan.{what}"})
    answer = asyncio.create_task(from_app.get())
    done, _ = await asyncio.wait({answer, task}, return_when=asyncio.FIRST_COMPLETED)
    if answer not in done:
        answer.cancel()
        await task  # its own error says more
    assert answer.result()["type"] == f"lifespan.{what}.complete", answer.result()
