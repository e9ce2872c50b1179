"""The gate: what it lets through, what it refuses and how, and what every answer carries."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Send

from bentos.churn.gate.access import ROUTES, Access
from bentos.churn.gate.gate import Gate
from bentos.churn.gate.refused import Refused
from fedchurn.serving.access.api_keys import new_api_key, read_api_keys
from fedchurn.serving.access.rate_limit import RateLimiter
from fedchurn.serving.serving_settings import ServingSettings
from tests.unit.bentos.asgi import Answered, ask, http_scope
from tests.unit.structure.contracts import PROJECT

KNOWN = {
    "/predict": {"POST": Access.PREDICT},
    "/release": {"GET": Access.READ},
    "/reload-model": {"POST": Access.ADMIN},
    "/livez": {"GET": Access.OPEN},
    "/page": {"GET": Access.OPEN},
    "/broken": {"GET": Access.OPEN},
    "/status": {"GET": Access.OPEN},
    "/caught": {"POST": Access.OPEN},
}
PREDICT_KEY, PREDICT_ENTRY = new_api_key("shop", ["predict"])
ADMIN_KEY, ADMIN_ENTRY = new_api_key("office", ["admin"])
BOTH_KEY, BOTH_ENTRY = new_api_key("desk", ["predict", "admin"])
ROW = {"Tenure": 4, "Note": "row-that-no-log-may-hold"}


async def _predict(request: Request) -> Response:
    return JSONResponse({"num_bytes": len(await request.body())}, headers={"server": "x/1.2.3"})


async def _caught(request: Request) -> Response:
    try:
        await request.body()
    except Exception:
        return JSONResponse({"wrong": "this must not be seen"}, 422)
    return JSONResponse({})


async def _page(_: Request) -> Response:
    return HTMLResponse("<p>hello")


async def _status(request: Request) -> Response:
    status = int(request.headers["x-status"])
    return Response(request.headers["x-body"], status, media_type="application/json")


async def _broken(_: Request) -> Response:
    raise RuntimeError("a defect")


async def _text(_: Request) -> Response:
    return PlainTextResponse("\n")


async def _raises(*_: Any) -> None:
    raise RuntimeError("a defect")


INNER = Starlette(
    routes=[
        Route("/predict", _predict, methods=["POST"]),
        Route("/caught", _caught, methods=["POST"]),
        Route("/reload-model", _predict, methods=["POST"]),
        Route("/release", _text),
        Route("/livez", _text),
        Route("/page", _page),
        Route("/status", _status),
        Route("/broken", _broken),
    ]
)


class Watched(Gate):
    """Notes what the gate answers itself."""

    answered: list[tuple[str, int]]

    async def answer(self, answered: Refused, send: Send) -> None:
        self.answered.append((answered.endpoint, answered.status))
        await super().answer(answered, send)


def _gate(
    entries: Sequence[str] = (),
    limiter: RateLimiter | None = None,
    counted: list[tuple[str, int]] | None = None,
    **settings: Any,
) -> Gate:
    keys = read_api_keys(entries)
    gate = Watched(INNER, KNOWN, keys, limiter, ServingSettings(**settings))
    gate.answered = counted if counted is not None else []
    return gate


def _predict_with(gate: Gate, **headers: str) -> Answered:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gate, "POST", "/predict", named, [json.dumps(ROW).encode()])


# ------------------------------------------------------------------ paths and methods


def test_what_is_known_passes() -> None:
    answered = _predict_with(_gate())
    assert answered.status == 200
    assert json.loads(answered.body) == {"num_bytes": len(json.dumps(ROW))}


@pytest.mark.parametrize("path", ["/x", "/predict/", "//predict", "/PREDICT", "", "/livezz"])
def test_an_unknown_path_is_404_and_counted_under_one_name(path: str) -> None:
    counted: list[tuple[str, int]] = []
    answered = ask(_gate(counted=counted), "GET", path)
    assert (answered.status, answered.error["rule"]) == (404, "not_found")
    assert counted == [("other", 404)]


def test_a_mistyped_path_gets_the_nearest_one() -> None:
    error = ask(_gate(), "POST", "/predictt").error
    assert (error["nearest"], error["message"]) == (
        "/predict",
        "there is no such path; did you mean '/predict'?",
    )
    assert "/predict" in error["limit"].split(", ")
    assert ask(_gate(), "POST", "/" + "x" * 5000).error["nearest"] is None


@given(st.text(max_size=30), st.sampled_from(["GET", "POST", "PUT", "BREW"]))
def test_counted_endpoints_are_bounded(path: str, method: str) -> None:
    counted: list[tuple[str, int]] = []
    refused = _gate(counted=counted).refusal(http_scope(method, f"/{path}"))
    assert refused is None or refused.endpoint in {*KNOWN, "other"}


def test_a_wrong_method_is_405_and_names_the_right_ones() -> None:
    counted: list[tuple[str, int]] = []
    gate = _gate(counted=counted)
    answered = ask(gate, "GET", "/predict")
    assert (answered.status, answered.error["rule"]) == (405, "method_not_allowed")
    assert answered.header("allow") == "POST"
    assert ask(gate, "DELETE", "/release").header("allow") == "GET, HEAD"
    assert counted == [("/predict", 405), ("/release", 405)]


def test_where_get_goes_head_goes() -> None:
    assert ask(_gate(), "HEAD", "/release").status == 200


def test_websockets_are_closed() -> None:
    import asyncio

    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/predict", "headers": []}
    asyncio.run(_gate()(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_api_key": ""},
        {"x_api_key": "wrong"},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {PREDICT_KEY}"},
        {"authorization": PREDICT_KEY},
        {"x_api_key": "wrong", "authorization": f"Bearer {PREDICT_KEY}"},
    ],
)
def test_without_a_right_key_401(headers: dict[str, str]) -> None:
    counted: list[tuple[str, int]] = []
    answered = _predict_with(_gate([PREDICT_ENTRY], counted=counted), **headers)
    assert (answered.status, answered.error["rule"]) == (401, "unauthorized")
    assert (answered.header("www-authenticate") or "").startswith("Bearer ")
    assert counted == [("/predict", 401)]


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": PREDICT_KEY},
        {"authorization": f"Bearer {PREDICT_KEY}"},
        {"authorization": f"bearer  {PREDICT_KEY}"},
    ],
)
def test_a_right_key_opens(headers: dict[str, str]) -> None:
    assert _predict_with(_gate([ADMIN_ENTRY, PREDICT_ENTRY]), **headers).status == 200


@pytest.mark.parametrize(
    ("key", "statuses"),
    [
        (PREDICT_KEY, {"/predict": 200, "/reload-model": 403, "/release": 200, "/livez": 200}),
        (ADMIN_KEY, {"/predict": 403, "/reload-model": 200, "/release": 200, "/livez": 200}),
        (BOTH_KEY, {"/predict": 200, "/reload-model": 200, "/release": 200, "/livez": 200}),
        ("", {"/predict": 401, "/reload-model": 401, "/release": 401, "/livez": 200}),
    ],
    ids=["predict", "admin", "both", "none"],
)
def test_a_scope_opens_what_is_its_own(key: str, statuses: dict[str, int]) -> None:
    gate = _gate([PREDICT_ENTRY, ADMIN_ENTRY, BOTH_ENTRY])
    found = {
        path: ask(gate, next(iter(KNOWN[path])), path, {"X-API-Key": key}).status
        for path in statuses
    }
    assert found == statuses


def test_a_wrong_scope_says_which_is_needed() -> None:
    answered = ask(_gate([PREDICT_ENTRY]), "POST", "/reload-model", {"X-API-Key": PREDICT_KEY})
    assert answered.error["rule"] == "forbidden"
    assert answered.error["limit"] == "a key with scope admin"


def test_without_configured_keys_all_is_open() -> None:
    assert ask(_gate(), "POST", "/reload-model").status == 200


# ------------------------------------------------------------------ rate


def _limiter() -> RateLimiter:
    return RateLimiter(0.5, 1, clock=lambda: 0.0)


def test_too_many_requests_are_429_with_a_time_to_wait() -> None:
    counted: list[tuple[str, int]] = []
    gate = _gate(limiter=_limiter(), counted=counted)
    assert ask(gate, "POST", "/predict").status == 200
    answered = ask(gate, "POST", "/predict")
    assert (answered.status, answered.error["rule"]) == (429, "too_many")
    assert answered.header("retry-after") == "2"
    assert counted == [("/predict", 429)]


def test_without_keys_addresses_are_limited_one_by_one() -> None:
    gate = _gate(limiter=_limiter())
    addresses = ["192.0.2.1", "192.0.2.1", "192.0.2.2"]
    found = [ask(gate, "POST", "/predict", client=(a, 1)).status for a in addresses]
    assert found == [200, 429, 200]
    assert ask(gate, "POST", "/predict", client=None).status == 200


def test_with_keys_holders_are_limited_wherever_they_call_from() -> None:
    gate = _gate([PREDICT_ENTRY, BOTH_ENTRY], limiter=_limiter())
    calls = [(PREDICT_KEY, "192.0.2.1"), (PREDICT_KEY, "192.0.2.2"), (BOTH_KEY, "192.0.2.2")]
    found = [
        ask(gate, "POST", "/predict", {"X-API-Key": key}, client=(address, 1)).status
        for key, address in calls
    ]
    assert found == [200, 429, 200]


def test_wrong_keys_use_up_nobodys_rate() -> None:
    gate = _gate([PREDICT_ENTRY], limiter=_limiter())
    for _ in range(3):
        assert _predict_with(gate, x_api_key="wrong").status == 401
    assert _predict_with(gate, x_api_key=PREDICT_KEY).status == 200


def test_probes_are_never_limited() -> None:
    gate = _gate(limiter=_limiter())
    assert {ask(gate, "GET", "/livez").status for _ in range(5)} == {200}


# ------------------------------------------------------------------ bodies

LIMIT = 1024


@pytest.mark.parametrize(
    ("headers", "chunks", "status"),
    [
        ({"content-length": "1024"}, [b"x" * 1024], 200),
        ({"content-length": "1025"}, [b"x" * 1025], 413),
        ({}, [b"x" * 512, b"x" * 512], 200),
        ({}, [b"x" * 512, b"x" * 512, b"x"], 413),
        ({"content-length": "10"}, [b"x" * 2000], 413),
        ({"content-length": "9" * 5000}, [b"x"], 413),
        ({"content-length": "-1"}, [b"x" * 2000], 413),
    ],
)
def test_bodies_are_limited_whatever_is_declared(
    headers: dict[str, str], chunks: list[bytes], status: int
) -> None:
    answered = ask(_gate(max_body_bytes=LIMIT), "POST", "/predict", headers, chunks)
    assert answered.status == status
    if status == 413:
        assert (answered.error["rule"], answered.error["limit"]) == ("too_large", "1024 bytes")
        assert answered.header("connection") == "close"


def test_a_declared_size_is_refused_before_anything_is_read() -> None:
    async def app(*_: Any) -> None:
        pytest.fail("the service was asked")

    counted: list[tuple[str, int]] = []
    gate = Watched(app, KNOWN, read_api_keys([]), None, ServingSettings(max_body_bytes=LIMIT))
    gate.answered = counted
    assert ask(gate, "POST", "/predict", {"content-length": "5000"}).status == 413
    assert counted == [("/predict", 413)]


def test_a_path_may_have_a_smaller_limit() -> None:
    gate = Gate(INNER, ROUTES, read_api_keys([]), None, ServingSettings())
    for path, status in (("/predict/adaptive", 413), ("/predict/batch", None)):
        headers = {"content-length": str(2**20 + 1), "content-type": "application/json"}
        refused = gate.refusal(http_scope("POST", path, headers))
        assert (refused and refused.status) == status


def test_an_application_that_swallows_the_error_does_not_hide_it() -> None:
    answered = ask(_gate(max_body_bytes=LIMIT), "POST", "/caught", {}, [b"x" * 2000])
    assert (answered.status, answered.error["rule"]) == (413, "too_large")


# ------------------------------------------------------------------ other origins

SHOP = "https://shop.example"
PREFLIGHT = {"access-control-request-method": "POST", "origin": SHOP}


def test_other_origins_are_nobody_by_default() -> None:
    gate = _gate()
    answered = _predict_with(gate, origin=SHOP)
    assert not [name for name, _ in answered.headers if name.startswith("access-control")]
    assert ask(gate, "OPTIONS", "/predict", PREFLIGHT).status == 405


def test_a_preflight_is_answered_without_a_key() -> None:
    counted: list[tuple[str, int]] = []
    gate = _gate([PREDICT_ENTRY], cors_origins=(SHOP,), counted=counted)
    answered = ask(gate, "OPTIONS", "/predict", PREFLIGHT)
    assert (answered.status, answered.body) == (204, b"")
    assert answered.header("access-control-allow-origin") == SHOP
    assert answered.header("access-control-allow-methods") == "POST"
    assert "x-api-key" in (answered.header("access-control-allow-headers") or "")
    assert answered.header("vary") == "Origin"
    assert counted == [("/predict", 204)]


def test_a_preflight_of_another_origin_is_refused() -> None:
    gate = _gate(cors_origins=(SHOP,))
    other = {**PREFLIGHT, "origin": "https://evil.example"}
    answered = ask(gate, "OPTIONS", "/predict", other)
    assert answered.status == 403
    assert answered.header("access-control-allow-origin") is None


def test_options_without_a_preflight_is_a_wrong_method() -> None:
    assert ask(_gate(cors_origins=(SHOP,)), "OPTIONS", "/predict").status == 405


@pytest.mark.parametrize("key", [PREDICT_KEY, "wrong"], ids=["right", "wrong"])
def test_answers_and_refusals_may_be_read_by_an_allowed_origin_only(key: str) -> None:
    gate = _gate([PREDICT_ENTRY], cors_origins=(SHOP,))
    shown = _predict_with(gate, x_api_key=key, origin=SHOP)
    hidden = _predict_with(gate, x_api_key=key, origin="https://evil.example")
    assert shown.header("access-control-allow-origin") == SHOP
    assert hidden.header("access-control-allow-origin") is None
    assert shown.header("vary") == hidden.header("vary") == "Origin"


def test_any_origin_is_allowed_without_credentials() -> None:
    gate = _gate(cors_origins=("*",))
    for answered in (
        _predict_with(gate, origin=SHOP),
        ask(gate, "OPTIONS", "/predict", PREFLIGHT),
        ask(gate, "GET", "/nowhere", {"origin": SHOP}),
    ):
        assert answered.header("access-control-allow-origin") == "*"
        assert answered.header("access-control-allow-credentials") is None


# ------------------------------------------------------------------ every answer


def _every_kind_of_answer() -> list[Answered]:
    gate = _gate([PREDICT_ENTRY], max_body_bytes=LIMIT)
    key = {"X-API-Key": PREDICT_KEY}
    return [
        ask(gate, "POST", "/predict", key),
        ask(gate, "POST", "/predict"),
        ask(gate, "GET", "/predict"),
        ask(gate, "GET", "/nowhere"),
        ask(gate, "GET", "/page"),
        ask(gate, "POST", "/predict", key, [b"x" * 2000]),
        ask(gate, "GET", "/status", {"x-status": "503", "x-body": "{}"}),
        ask(gate, "GET", "/status", {"x-status": "504", "x-body": ""}),
    ]


def test_every_answer_carries_the_security_headers_once() -> None:
    for answered in _every_kind_of_answer():
        assert answered.header("x-content-type-options") == "nosniff"
        assert answered.header("x-frame-options") == "DENY"
        assert answered.header("referrer-policy") == "no-referrer"
        assert answered.header("cache-control") == "no-store"
        assert "frame-ancestors 'none'" in (answered.header("content-security-policy") or "")
        assert answered.header("server") is None


def test_pages_may_load_from_the_service_only() -> None:
    page = ask(_gate(), "GET", "/page").header("content-security-policy") or ""
    data = ask(_gate(), "GET", "/release").header("content-security-policy") or ""
    assert "script-src 'self'" in page
    assert "unsafe" not in page
    assert "script-src" not in data


def test_the_lane_has_the_same_headers_at_hand() -> None:
    for settings in ({}, {"cors_origins": (SHOP,)}):
        gate = _gate(**settings)
        slow = _predict_with(gate, origin=SHOP).headers
        quick = gate.headers(http_scope("POST", "/predict", {"origin": SHOP}))
        assert {(n.decode(), v.decode()) for n, v in quick} <= set(slow)
        extra = {name for name, _ in slow} - {n.decode() for n, _ in quick}
        assert extra == {"content-length", "content-type"}


# ------------------------------------------------------------------ one error shape


@pytest.mark.parametrize(
    ("status", "body", "rule"),
    [
        ("429", '{"error": "Too many requests"}', "too_many"),
        ("504", '{"error":"Not able to process the request in 10 seconds"}', "unavailable"),
        ("500", "Internal Server Error", "unexpected"),
        ("503", "\n", "not_ready"),
        ("400", '{"error": "1 validation error", "detail": []}', "unreadable_body"),
        ("418", "", "refused"),
        ("507", "", "unexpected"),
    ],
)
def test_errors_of_others_get_our_shape(status: str, body: str, rule: str) -> None:
    answered = ask(_gate(), "GET", "/status", {"x-status": status, "x-body": body})
    assert (answered.status, answered.error["rule"]) == (int(status), rule)
    assert answered.header("content-type") == "application/json"


@pytest.mark.parametrize("body", ['{"errors": [1]}', '{"status": "unhealthy"}', ' {"a": 1}'])
def test_errors_in_our_shape_and_reports_stay(body: str) -> None:
    answered = ask(_gate(), "GET", "/status", {"x-status": "503", "x-body": body})
    assert answered.body == body.encode()


@pytest.mark.parametrize("app", [_raises, INNER])
def test_a_defect_is_a_500_without_a_traceback_for_the_caller(app: Any) -> None:
    sent: list[Any] = []

    async def catching(scope: Any, receive: Any, send: Any) -> None:
        async def keep(message: Any) -> None:
            sent.append(message)
            await send(message)

        gate = Gate(app, KNOWN, read_api_keys([]), None, ServingSettings())
        with pytest.raises(RuntimeError):  # the server logs it
            await gate(scope, receive, keep)

    answered = ask(catching, "GET", "/broken")
    assert (answered.status, answered.error["rule"]) == (500, "unexpected")
    assert b"defect" not in answered.body


def test_a_page_that_ends_without_an_answer_is_a_500_and_a_caller_who_left_gets_none() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    gate = Gate(silent, KNOWN, read_api_keys([]), None, ServingSettings())
    answered = ask(gate, "GET", "/status")
    assert (answered.status, answered.error["rule"]) == (500, "unexpected")
    with pytest.raises(ValueError, match="not enough values"):  # nothing was sent
        ask(gate, "GET", "/status", chunks=())


# ------------------------------------------------------------------ logs


def test_neither_keys_nor_rows_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    gate = _gate([PREDICT_ENTRY], limiter=_limiter(), max_body_bytes=LIMIT)
    body = [json.dumps(ROW).encode() * 60]
    wrong = f"{PREDICT_KEY}x"
    for key in (PREDICT_KEY, PREDICT_KEY, wrong):
        _predict_with(gate, x_api_key=key)
        ask(gate, "POST", "/predict", {"Authorization": f"Bearer {key}"}, body)
    logged = caplog.text
    for secret in (PREDICT_KEY, PREDICT_ENTRY.split(":")[2], wrong, str(ROW["Note"])):
        assert secret not in logged


# ------------------------------------------------------------------ the table


def test_what_changes_the_service_needs_admin_and_what_scores_needs_predict() -> None:
    for path, methods in ROUTES.items():
        for method, access in methods.items():
            if method == "POST":
                scores = path.startswith("/predict")
                assert access is (Access.PREDICT if scores else Access.ADMIN), path


def test_the_table_holds_the_routes_of_the_service_and_bentos_own() -> None:
    from bentos.churn.api.routes import routes

    of_bento = {("GET", f"/{name}") for name in ("livez", "healthz", "readyz", "metrics")}
    of_bento.add(("POST", "/predict/adaptive"))
    ours = {
        (method, route.path)
        for route in routes(pytest.fail)
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    table = {(method, path) for path, methods in ROUTES.items() for method in methods}
    assert table - of_bento == ours


def test_the_page_on_security_has_the_table() -> None:
    page = (PROJECT / "docs" / "security.md").read_text()
    rows = {
        "everybody": Access.OPEN,
        "any key": Access.READ,
        "a key with `predict`": Access.PREDICT,
        "a key with `admin`": Access.ADMIN,
    }
    for who, access in rows.items():
        (row,) = re.findall(rf"^\| {re.escape(who)} \| (.*) \|$", page, flags=re.MULTILINE)
        wanted = [
            f"{m} {p}" for p, ms in ROUTES.items() for m, given in ms.items() if given is access
        ]
        assert re.findall(r"`(.*?)`", row) == sorted(wanted)
