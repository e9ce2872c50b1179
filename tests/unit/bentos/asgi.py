"""One request to an ASGI application, message by message, without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answered:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for given, value in self.headers if given == name]
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None

    @property
    def error(self) -> dict[str, Any]:
        (error,) = json.loads(self.body)["errors"]
        assert sorted(error) == ["field", "limit", "message", "nearest", "rule", "value"]
        return error


def http_scope(
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    client: tuple[str, int] | None = ("192.0.2.7", 50000),
) -> dict[str, Any]:
    raw = [(n.lower().encode(), v.encode()) for n, v in (headers or {}).items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": raw,
        "client": client,
        "server": ("service", 80),
    }


def ask(
    app: Any,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    chunks: Sequence[bytes] = (b"",),
    client: tuple[str, int] | None = ("192.0.2.7", 50000),
) -> Answered:
    """What ``app`` answers; ``chunks`` come one after the other, as long as somebody reads."""
    sent: list[dict[str, Any]] = []
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": place < len(chunks)}
        for place, chunk in enumerate(chunks, start=1)
    ]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(http_scope(method, path, headers, client), receive, send))
    return read_answer(sent)


def read_answer(sent: Sequence[dict[str, Any]]) -> Answered:
    start, *parts = sent
    assert start["type"] == "http.response.start"
    assert {part["type"] for part in parts} == {"http.response.body"}
    body = b"".join(part.get("body", b"") for part in parts)
    headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
    answered = Answered(start["status"], headers, body)
    length = answered.header("content-length")
    assert length is None or int(length) == len(body)
    return answered
