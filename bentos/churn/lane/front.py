"""What stands before BentoML's application in every worker: the gate, then the fast lane.

    request -> gate (path, method, key, rate) -> fast lane for plain rows -> answer
                  |                                  `-> BentoML's whole stack -> routes -> answer
                  `-> refusal

Every request is counted here, whoever answers it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.churn.gate.gate import Gate
from bentos.churn.lane.first_message import first_message
from fedchurn.serving.metrics.prometheus_http import UNCOUNTED, HttpSeries

QUICK_PATHS = frozenset({"/predict", "/predict/single"})
_JSON = (b"content-type", b"application/json")

Lane = Callable[[bytes, str, float], bytes | None]


@dataclass(frozen=True)
class Opened:
    """What the front needs once the worker has started.

    Attributes:
        gate: in front of everything.
        lane: answers the body of a plain row, or None; None when the lane is closed.
        series: counts requests.
        flush: brings metrics up to date before they are read; blocking.
    """

    gate: Gate
    lane: Lane | None
    series: HttpSeries
    flush: Callable[[], None]


class Front:
    """ASGI application around ``inner``.

    Args:
        inner: BentoML's application.
        open_worker: called with ``inner`` when it has started, before the first request.
    """

    def __init__(self, inner: ASGIApp, open_worker: Callable[[Any], Opened]) -> None:
        self.inner = inner
        self._open_worker = open_worker
        self._opened: Opened | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        opened = self._opened
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, self._opening(send))
        elif opened is None:
            await self.inner(scope, receive, send)
        elif scope["type"] == "http":
            await _serve(opened, scope, receive, send)
        else:
            await opened.gate.forward(scope, receive, send)

    def _opening(self, send: Send) -> Send:
        async def opening(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._opened = self._open_worker(self.inner)
            await send(message)

        return opening


async def _serve(opened: Opened, scope: Scope, receive: Receive, send: Send) -> None:
    started = time.perf_counter()
    refused = opened.gate.refusal(scope)
    if refused is not None:
        await opened.gate.answer(refused, send)
        seconds = time.perf_counter() - started
        opened.series.observe(refused.endpoint, refused.status, seconds, method=scope["method"])
        return
    path = scope["path"]
    if opened.lane is not None and path in QUICK_PATHS and not scope["query_string"]:
        message, receive = first_message(receive)
        body = message["body"] if message is not None and _is_whole(message) else b""
        body = body if len(body) <= opened.gate.max_body_bytes else b""
        answer = opened.lane(body, path, started) if body and _is_json(scope) else None
        if answer is not None:
            await _send_quick(opened, scope, answer, send)
            opened.series.observe(
                path,
                200,
                time.perf_counter() - started,
                request_bytes=len(body),
                response_bytes=len(answer),
            )
            return
    elif path == "/metrics":
        await run_in_threadpool(opened.flush)
    await _serve_the_long_way(opened, scope, receive, send, started)


async def _send_quick(opened: Opened, scope: Scope, answer: bytes, send: Send) -> None:
    length = (b"content-length", b"%d" % len(answer))
    headers = [_JSON, length, *opened.gate.headers(scope)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def _serve_the_long_way(
    opened: Opened, scope: Scope, receive: Receive, send: Send, started: float
) -> None:
    watched = _Watched(receive, send)
    series = opened.series
    waits = scope["path"] not in UNCOUNTED  # a scrape would always find itself
    series.num_in_progress += waits
    try:
        await opened.gate.forward(scope, watched.receive, watched.send)
    finally:
        series.num_in_progress -= waits
        series.observe(
            scope["path"],
            watched.status,
            time.perf_counter() - started,
            method=scope["method"],
            request_bytes=watched.request_bytes,
            response_bytes=watched.response_bytes,
            quick=False,
        )


class _Watched:
    """One request's messages, for its status and sizes; 499 when nobody waited for the answer.

    What is answered to somebody who has left is nobody's success, and no fault of the service.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.status = 499
        self._left = False
        self.request_bytes = self.response_bytes = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._left = self._left or message["type"] == "http.disconnect"
        self.request_bytes += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._left:
            self.status = message["status"]
        self.response_bytes += len(message.get("body", b""))
        await self._send(message)


def _is_json(scope: Scope) -> bool:
    """Whether the body is said to be plain JSON, or nothing is said."""
    for name, value in scope["headers"]:
        if name == b"content-type" and value.partition(b";")[0].rstrip() != b"application/json":
            return False
        if name == b"content-encoding":
            return False
    return True


def _is_whole(message: Message) -> bool:
    return message["type"] == "http.request" and not message.get("more_body")
