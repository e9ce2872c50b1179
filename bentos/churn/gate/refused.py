"""What the gate answers itself, in the one error shape of the service."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bentos.churn.gate.headers import SECURITY_HEADERS, RawHeaders

OTHER = "other"  # endpoint of paths that do not exist: labels of metrics must be bounded
_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal, or the answer to a CORS preflight.

    Attributes:
        endpoint: path that was called, or ``other``.
        status: HTTP status.
        body: JSON, or nothing for a preflight.
        headers: all headers of the answer but content-length.
    """

    endpoint: str
    status: int
    body: bytes
    headers: RawHeaders

    @property
    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers to send, content-length included."""
        length = (b"content-length", str(len(self.body)).encode())
        return [length, *self.headers] if self.status != 204 else list(self.headers)


def refused(endpoint: str, status: int, body: bytes, *added: tuple[bytes, bytes]) -> Refused:
    """A refusal with a JSON ``body``."""
    return Refused(endpoint, status, body, (_JSON, *SECURITY_HEADERS, *added))


def error_body(
    rule: str, message: str, *, limit: str | None = None, nearest: str | None = None
) -> bytes:
    """The service's error shape for a problem that is about no field of a row."""
    return json.dumps({"errors": [_error(rule, message, limit=limit, nearest=nearest)]}).encode()


def _error(
    rule: str,
    message: str,
    *,
    field: str | None = None,
    limit: str | None = None,
    nearest: str | None = None,
) -> dict[str, object]:
    return {
        "field": field,
        "value": None,
        "limit": limit,
        "message": message,
        "rule": rule,
        "nearest": nearest,
    }


# What the server or Bento answers by itself, in other shapes or in none.
_FOREIGN = {
    400: ("unreadable_body", "the request cannot be read"),
    404: ("not_found", "there is no such path"),
    405: ("method_not_allowed", "the path does not take this method"),
    413: ("too_large", "the body is too large"),
    415: ("unreadable_body", "the body is not of a type that is read here"),
    422: ("unreadable_body", "the request cannot be read"),
    429: ("too_many", "too many requests are being answered; try again"),
    500: ("unexpected", "the service met an error that it did not foresee; its log says more"),
    503: ("not_ready", "the service is not ready"),
    504: ("unavailable", "no answer was ready in time"),
}


def foreign_error(status: int, body: bytes) -> tuple[int, bytes]:
    """Status and body in the error shape for an answer that somebody else gave without it.

    Bento's 400 about input that fails its validation becomes a 422 with every reason.
    """
    reasons = _validation_reasons(body) if status == 400 else []
    if reasons:
        return 422, json.dumps({"errors": reasons}).encode()
    return status, foreign_error_body(status)


def foreign_error_body(status: int) -> bytes:
    """The error shape for a status alone."""
    unknown = _FOREIGN[500] if status >= 500 else ("refused", "the request is refused")
    rule, message = _FOREIGN.get(status, unknown)
    return error_body(rule, message)


def _validation_reasons(body: bytes) -> list[dict[str, object]]:
    """What pydantic found, as BentoML tells it."""
    try:
        details = json.loads(body)["detail"]
        return [
            _error("invalid", str(one["msg"]), field=".".join(map(str, one["loc"])) or None)
            for one in details
        ]
    except (ValueError, KeyError, TypeError):
        return []


def is_foreign(body: bytes) -> bool:
    """Whether the body of an error is not ours: no JSON object, or one of Bento's."""
    start = body[:24].lstrip()
    return not start.startswith(b"{") or start[1:].lstrip().startswith(b'"error":')
