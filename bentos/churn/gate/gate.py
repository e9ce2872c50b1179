"""The gate: the outermost layer of the service, through which every request comes.

It answers 404 and 405 itself, so that paths somebody makes up never become labels of metrics; asks
for keys (401, 403), keeps rate limits (429) and body limits (413), answers CORS preflights, and
gives every answer its security headers.

    refused = gate.refusal(scope)            # about a microsecond where nothing is configured
    if refused is not None:
        await gate.answer(refused, send)
    else:
        ... or a faster way, with gate.headers(scope) ...
        await gate.forward(scope, receive, send)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.churn.gate.access import ONLY_JSON, SMALLER_BODY_BYTES, Access, Routes
from bentos.churn.gate.guard import Guard
from bentos.churn.gate.headers import SECURITY_HEADERS, Cors, RawHeaders
from bentos.churn.gate.refused import OTHER, Refused, error_body, foreign_error_body, refused
from fedchurn.errors import nearest_match
from fedchurn.serving.access.api_keys import ApiKey, ApiKeys
from fedchurn.serving.access.rate_limit import RateLimiter, address_caller
from fedchurn.serving.serving_settings import ServingSettings

_MAX_MISTYPED = 60  # characters; looking for the nearest of more is work that callers could ask for
_CLOSE = (b"connection", b"close")  # nobody reads the rest of a body that is too large
_UNAUTHORIZED_BODY = error_body(
    "unauthorized",
    "a valid API key is needed",
    limit="header X-API-Key: KEY, or Authorization: Bearer KEY",
)
_ONLY_JSON_BODY = error_body(
    "unreadable_body", "only JSON is read here", limit="content-type application/json"
)
_CHALLENGE = (b"www-authenticate", b'Bearer realm="fedchurn"')


class Gate:
    """See the module docstring.

    Args:
        app: what answers requests that may pass.
        known_routes: every path with its methods and who may call them.
        keys: the API keys; none means that nobody is asked.
        limiter: rate limit per key, or per address without keys; None for no limit.
        settings: ``max_body_bytes`` and ``cors_origins`` are used.
    """

    def __init__(
        self,
        app: ASGIApp,
        known_routes: Routes,
        keys: ApiKeys,
        limiter: RateLimiter | None,
        settings: ServingSettings,
    ) -> None:
        self._app = app
        self._routes = {path: _with_head(methods) for path, methods in known_routes.items()}
        self._keys = keys
        self._limiter = limiter
        self._cors = Cors(settings.cors_origins) if settings.cors_origins else None
        self._is_plain = not keys and limiter is None
        self.max_body_bytes = settings.max_body_bytes
        self._paths = sorted(known_routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            answered = self.refusal(scope)
            if answered is not None:
                await self.answer(answered, send)
                return
        await self.forward(scope, receive, send)

    def refusal(self, scope: Scope) -> Refused | None:
        """Why the gate answers an HTTP request itself, or None when it may pass."""
        methods = self._routes.get(scope["path"])
        if methods is None:
            return self._shown(scope, refused(OTHER, 404, self._not_found(scope["path"])))
        access = methods.get(scope["method"])
        if access is None:
            return self._wrong_method(scope, methods)
        if not (self._is_plain or access is Access.OPEN):
            found = self._unwelcome(scope, access)
            if found is not None:
                return self._shown(scope, found)
        if scope["method"] == "POST" and _declared_bytes(scope) > self.limit_of(scope):
            return self.too_large(scope)
        if scope["path"] in ONLY_JSON and not _is_json(scope):
            return self._shown(scope, refused(scope["path"], 415, _ONLY_JSON_BODY))
        return None

    def too_large(self, scope: Scope) -> Refused:
        """The refusal of a body above the limit of its path."""
        limit = f"{self.limit_of(scope)} bytes"
        body = error_body("too_large", f"the body is larger than {limit}", limit=limit)
        return self._shown(scope, refused(scope["path"], 413, body, _CLOSE))

    def limit_of(self, scope: Scope) -> int:
        """Bytes that the body of a request may have."""
        return min(self.max_body_bytes, SMALLER_BODY_BYTES.get(scope["path"], self.max_body_bytes))

    def headers(self, scope: Scope) -> RawHeaders:
        """Headers that an answer with data must carry, for those who answer without ``forward``."""
        if self._cors is None:
            return SECURITY_HEADERS
        return SECURITY_HEADERS + self._cors_headers(scope)

    async def answer(self, answered: Refused, send: Send) -> None:
        """Send what the gate answers itself."""
        await _send(answered, send)

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, with a limited body; its answer gets our headers."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = self._cors_headers(scope)
        guard = Guard(receive, send, max_body_bytes=self.limit_of(scope), headers=added)
        try:
            await self._app(scope, guard.receive, guard.send)
        except Exception:
            if guard.started or not guard.too_large:
                await self._excuse(scope, guard, send)
                raise
        if guard.too_large and not guard.started:
            await _send(self.too_large(scope), send)
        elif not guard.left:  # BentoML loses exceptions of its own pages, such as /metrics
            await self._excuse(scope, guard, send)

    async def _excuse(self, scope: Scope, guard: Guard, send: Send) -> None:
        """Answer in place of an application that broke down before it answered."""
        if not guard.started:
            found = refused(scope["path"], 500, foreign_error_body(500))
            await _send(self._shown(scope, found), send)

    def _unwelcome(self, scope: Scope, access: Access) -> Refused | None:
        caller = None
        if self._keys:
            presented = _presented_key(scope)
            holder = self._keys.holder(presented) if presented else None
            if holder is None:
                return refused(scope["path"], 401, _UNAUTHORIZED_BODY, _CHALLENGE)
            if not holder.scopes & access.scopes:
                return _forbidden(scope, access, holder)
            caller = holder.name
        return self._too_many(scope, caller) if self._limiter else None

    def _too_many(self, scope: Scope, key_name: str | None) -> Refused | None:
        assert self._limiter is not None
        caller = key_name
        if caller is None:
            client = scope.get("client")
            caller = address_caller(client[0]) if client else "unknown"
        wait_seconds = self._limiter.wait_seconds(caller)
        if not wait_seconds:
            return None
        retry = str(math.ceil(wait_seconds))
        body = error_body("too_many", f"too many requests; try again in {retry} s")
        return refused(scope["path"], 429, body, (b"retry-after", retry.encode()))

    def _not_found(self, path: str) -> bytes:
        near = nearest_match(path, self._paths) if len(path) <= _MAX_MISTYPED else None
        message = "there is no such path" + (f"; did you mean {near!r}?" if near else "")
        return error_body("not_found", message, limit=", ".join(self._paths), nearest=near)

    def _wrong_method(self, scope: Scope, methods: Iterable[str]) -> Refused:
        allow = ", ".join(sorted(methods))
        if self._cors is not None and scope["method"] == "OPTIONS":
            origin = _header(scope, b"origin")
            if origin and _header(scope, b"access-control-request-method"):
                return self._preflight(scope["path"], origin, allow)
        message = f"{scope['path']} does not take {scope['method'][:20]}"
        body = error_body("method_not_allowed", message, limit=allow)
        found = refused(scope["path"], 405, body, (b"allow", allow.encode()))
        return self._shown(scope, found)

    def _preflight(self, path: str, origin: bytes, allow: str) -> Refused:
        assert self._cors is not None
        if self._cors.allows(origin):
            headers = self._cors.preflight_headers(origin, allow.encode())
            return Refused(path, 204, b"", (*SECURITY_HEADERS, *headers))
        body = error_body("forbidden", "pages of this web origin may not call the service")
        return refused(path, 403, body, *self._cors.answer_headers(origin))

    def _shown(self, scope: Scope, found: Refused) -> Refused:
        """``found`` as a page of an allowed origin may read it."""
        added = self._cors_headers(scope)
        if not added:
            return found
        return Refused(found.endpoint, found.status, found.body, found.headers + added)

    def _cors_headers(self, scope: Scope) -> RawHeaders:
        return self._cors.answer_headers(_header(scope, b"origin")) if self._cors else ()


def _with_head(methods: Mapping[str, Access]) -> dict[str, Access]:
    head = {"HEAD": methods["GET"]} if "GET" in methods else {}
    return {**methods, **head}


def _declared_bytes(scope: Scope) -> int:
    """What Content-Length says; 0 when it says nothing, for the body is counted in any case."""
    length = _header(scope, b"content-length") or b""
    return int(length[:20]) if length.isdigit() else 0  # 20 digits are too many, whatever follows


def _is_json(scope: Scope) -> bool:
    """Whether the body is said to be JSON, or nothing is said."""
    kind = (_header(scope, b"content-type") or b"application/json").partition(b";")[0]
    return kind.strip().lower() == b"application/json"


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return value
    return None


async def _send(answered: Refused, send: Send) -> None:
    headers = answered.all_headers
    await send({"type": "http.response.start", "status": answered.status, "headers": headers})
    await send({"type": "http.response.body", "body": answered.body})


def _presented_key(scope: Scope) -> bytes | None:
    key = _header(scope, b"x-api-key")
    if key is not None:
        return key
    scheme, _, token = (_header(scope, b"authorization") or b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _forbidden(scope: Scope, access: Access, holder: ApiKey) -> Refused:
    needed = f"a key with scope {access.value}"
    message = f"the key {holder.name!r} may not call {scope['path']}; it takes {needed}"
    return refused(scope["path"], 403, error_body("forbidden", message, limit=needed))
