"""The OpenAPI document says what the service does: paths, requests, answers, access."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from starlette.routing import Route

from bentos.churn.api.openapi import openapi_document
from bentos.churn.api.openapi_operations import ALIASES
from bentos.churn.api.routes import routes
from bentos.churn.gate.access import ROUTES, Access
from tests.unit.bentos.shipped import Api, shipped_api

BENTOS_OWN = {"/livez", "/readyz", "/healthz", "/metrics", "/predict/adaptive"}


@pytest.fixture(scope="module", params=["ecommerce", "telco", "telecom"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = shipped_api(tmp_path_factory.mktemp(request.param), request.param)
    yield api
    api.close()


def served(api: Api) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for route in routes(lambda: api.parts):
        assert isinstance(route, Route)
        found.setdefault(route.path, set()).update((route.methods or set()) - {"HEAD"})
    return found


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:api", resource)
    based = {"$id": "urn:here", **_absolute(schema)}
    return jsonschema.Draft202012Validator(based, registry=registry)


def _absolute(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: f"urn:api{value}" if key == "$ref" else _absolute(value)
            for key, value in part.items()
        }
    return [_absolute(item) for item in part] if isinstance(part, list) else part


def test_the_gate_knows_every_route_and_no_other(api: Api) -> None:
    known = {path: set(methods) for path, methods in ROUTES.items() if path not in BENTOS_OWN}
    assert served(api) == known


def test_every_route_is_documented_once(api: Api) -> None:
    document = api.get("/openapi.json").json()
    documented = {
        path: {method.upper() for method in methods} for path, methods in document["paths"].items()
    }
    for path, methods in served(api).items():
        meant = ALIASES.get(path, path)
        if not meant.startswith("/docs."):
            assert documented[meant] == methods
    assert set(documented) <= set(served(api)) | BENTOS_OWN
    assert api.get("/docs.json").json() == document


def test_every_reference_leads_somewhere(api: Api) -> None:
    response = api.get("/openapi.json")
    schemas = response.json()["components"]["schemas"]
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', response.text))
    assert wanted == set(schemas)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_examples_are_answered_as_the_document_says(api: Api) -> None:
    document = api.get("/openapi.json").json()
    num_examples = 0
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for media, described in content.items():
            schema = validator(document, described["schema"])
            assert ("examples" in described) is (media != "multipart/form-data")
            for example in described.get("examples", {}).values():
                schema.validate(example["value"])
                num_examples += 1
                if path in BENTOS_OWN:
                    continue  # asked in tests/e2e
                sent = example["value"]
                content = sent if isinstance(sent, str) else json.dumps(sent)
                answer = api.post(path, content=content, headers={"content-type": media})
                assert (path, media, answer.status_code) == (path, media, 200)
                validator(document, _answer_schema(methods["post"], 200)).validate(answer.json())
    assert num_examples == 10


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/", None),
        ("get", "/health", None),
        ("get", "/ready", None),
        ("get", "/model-info", None),
        ("get", "/release", None),
        ("get", "/fallback-stats", None),
        ("get", "/experiments", None),
        ("get", "/drift-status", None),
        ("get", "/monitoring/performance", None),
        ("get", "/openapi.json", None),
        ("post", "/predict", {"Odd": 1}),
        ("post", "/predict?explain=true", "typical"),
        ("post", "/predict/batch?explain=true", "batch"),
        ("post", "/feedback", {"customer_id": "7", "label": 1}),
        ("post", "/feedback", {"customer_id": "7"}),
        ("post", "/check-drift", {}),
        ("post", "/reload-model", {}),
        ("post", "/reload-model", {"release": "x"}),
        ("post", "/webhook/drift-alert", {"alerts": [{}]}),
    ],
)
def test_answers_are_as_documented(api: Api, method: str, path: str, body: Any) -> None:
    document = api.get("/openapi.json").json()
    operation = document["paths"][path.partition("?")[0]][method]
    if isinstance(body, str):
        examples = operation["requestBody"]["content"]["application/json"]["examples"]
        body = examples[body]["value"]
    answer = api.request(method.upper(), path, json=body)
    schema = _answer_schema(operation, answer.status_code)
    validator(document, schema).validate(answer.json())
    named = _named(document, schema)
    if named is not None:
        assert set(answer.json()) <= set(named["properties"])


def _answer_schema(operation: dict[str, Any], status: int) -> dict[str, Any]:
    found: dict[str, Any] = operation["responses"][str(status)]["content"]["application/json"]
    return found["schema"]  # type: ignore[no-any-return]


def _named(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any] | None:
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"].get(name)  # type: ignore[no-any-return]


def test_keys_are_asked_for_where_the_gate_asks(api: Api) -> None:
    contract = api.served.contract
    paths = openapi_document(contract, keys_needed=True)["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            is_open = ROUTES[path][method.upper()] is Access.OPEN
            assert ("security" in operation) is not is_open
            assert ("401" in operation["responses"]) is not is_open
    without = openapi_document(contract, keys_needed=False)["paths"]
    assert not any("security" in o for methods in without.values() for o in methods.values())


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [str(given[key]) for key in ("src", "href") if key in given]
        self.inline += [key for key in given if key.startswith("on") or key == "style"]
        self._in_script = tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.inline.append(data)


def test_the_page_loads_nothing_of_anybody_else(api: Api) -> None:
    page = api.get("/docs")
    links = _Links()
    links.feed(page.text)
    assert sorted(links.found) == ["docs.css", "docs.js", "openapi.json"]
    assert links.inline == []
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name, kind in (("docs.css", "text/css"), ("docs.js", "text/javascript")):
        found = api.get(f"/{name}")
        assert found.headers["content-type"].startswith(kind)
        assert "http" not in re.sub(r"//.*", "", found.text)
    assert "innerHTML" not in api.get("/docs.js").text
