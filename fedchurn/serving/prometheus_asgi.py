"""Requests on their way through an ASGI application, told to ``HttpSeries``; plain ASGI only."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from fedchurn.serving.prometheus_http import HttpSeries

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class CountedRequests:
    """An application that counts the requests that it passes on to ``inner``.

    Args:
        inner: answers.
        http: told about each answer, whatever its status.
        quick: ``inner`` answers without BentoML's middleware (the gate's refusals, say).
    """

    def __init__(self, inner: Application, http: HttpSeries, *, quick: bool = False) -> None:
        self._inner = inner
        self._http = http
        self._quick = quick

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500  # what the server answers when nothing else does
        num_bytes = 0

        async def counted(message: Message) -> None:
            nonlocal status, num_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                num_bytes += len(message.get("body", b""))
            await send(message)

        self._http.num_in_progress += 1
        try:
            await self._inner(scope, receive, counted)
        finally:
            self._http.num_in_progress -= 1
            self._http.observe(
                scope["path"],
                status,
                time.perf_counter() - started,
                method=scope["method"],
                request_bytes=_content_length(scope["headers"]),
                response_bytes=num_bytes,
                quick=self._quick,
            )


def _content_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Length of the body as announced; 0 where it is not (chunked bodies)."""
    text = next((value for name, value in headers if name == b"content-length"), b"")
    return int(text) if text.isdigit() else 0
