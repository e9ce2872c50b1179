"""One request on its way through the gate: its body counted, its answer given our headers."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Send

from bentos.churn.gate.headers import RawHeaders, with_headers
from bentos.churn.gate.refused import foreign_error, is_foreign

_OF_THE_BODY = (b"content-length", b"content-type", b"content-encoding", b"transfer-encoding")
_SOON: RawHeaders = ((b"retry-after", b"1"),)


class BodyTooLarge(HTTPException):
    """Raised to whoever reads a body beyond the limit; Starlette makes a plain 413 of it."""

    def __init__(self) -> None:
        super().__init__(413)


class Guard:
    """Stands between the server and the service for one request.

    A body may hold ``max_body_bytes``, whatever its Content-Length said, or in chunks without one.
    Errors that others answer in their own shape leave in ours; other answers only get headers.
    """

    def __init__(
        self, receive: Receive, send: Send, *, max_body_bytes: int, headers: RawHeaders
    ) -> None:
        self._receive, self._send = receive, send
        self._bytes_left = max_body_bytes
        self._headers = headers
        self._held: Message | None = None  # start of an error, until its body shows the shape
        self._replaced = False
        self.started = False
        self.too_large = False
        self.left = False  # nobody waits for the answer

    async def receive(self) -> Message:
        """The next message of the request."""
        message = await self._receive()
        self.left = self.left or message["type"] == "http.disconnect"
        self._bytes_left -= len(message.get("body", b""))
        if self._bytes_left < 0:
            self.too_large = True
            raise BodyTooLarge
        return message

    async def send(self, message: Message) -> None:
        """A message of the answer."""
        if (self.too_large and not self.started) or self._replaced:
            return  # the gate answers instead, or has
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._held = message
        elif message["type"] == "http.response.start":
            await self._start(message)
        elif self._held is not None:
            held, self._held = self._held, None
            await self._send_error(held, message)
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        self.started = True
        headers = with_headers(message.get("headers", ()), self._headers)
        await self._send({**message, "headers": headers})

    async def _send_error(self, start: Message, first: Message) -> None:
        if not is_foreign(first.get("body", b"")):
            await self._start(start)
            await self._send(first)
            return
        self._replaced = True
        status, body = foreign_error(start["status"], first.get("body", b""))
        given = [h for h in start.get("headers", ()) if h[0].lower() not in _OF_THE_BODY]
        given += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *(_SOON if status in (429, 503) else ()),
        ]
        await self._start({**start, "status": status, "headers": given})
        await self._send({"type": "http.response.body", "body": body})
