"""Every label, spelling and limit of the shipped contracts: both lanes say the same of it.

A flat row may take the fast lane; the same row in ``features`` never does. Requests go through the
front, as they come from a server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from bentos.churn.gate.access import ROUTES
from bentos.churn.gate.gate import Gate
from bentos.churn.lane.fast_lane import FastLane
from bentos.churn.lane.front import Front, Opened
from fedchurn.contract.schema import Column
from fedchurn.serving.access.api_keys import ApiKeys
from fedchurn.serving.examples import example_customers
from fedchurn.serving.metrics.prometheus_families import Families
from fedchurn.serving.metrics.prometheus_http import HttpSeries
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.tracing.tracing import NoTracing
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.shipped import Api, shipped_api

CONTRACTS = ["ecommerce", "telco", "telecom"]
CHANGING = {"prediction_id", "latency_ms", "timestamp"}
EXPLAINED = {"feature_contributions", "base_probability", "recommendations"}
ODD: list[Any] = [None, True, False, "", " ", "never seen", "\u00dcber", [], {}, 10**400, -1, 0.5]


class Fronted:
    """A service of a shipped contract behind its front; ``num_quick`` answers came by the lane."""

    def __init__(self, api: Api) -> None:
        self.api, self.contract, self.num_quick = api, api.served.contract, 0
        self._lane = FastLane(api.live, api.recorder, PredictionIds(), NoTracing())
        self._front = Front(api.app, self._opened)
        startup = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(startup)

        async def send(message: Any) -> None:
            return None

        asyncio.run(self._front({"type": "lifespan", "state": {}}, receive, send))

    def _opened(self, application: Any) -> Opened:
        routes = [(method, path) for path, methods in ROUTES.items() for method in methods]
        series = HttpSeries(routes, Families(CollectorRegistry()), None)
        gate = Gate(application, ROUTES, ApiKeys(()), None, self.api.settings)
        return Opened(gate, self._counted, series, self.api.recorder.flush)

    def _counted(self, body: bytes, endpoint: str, started: float) -> bytes | None:
        answer = self._lane.answer(body, endpoint, started)
        self.num_quick += answer is not None
        return answer

    def post(self, body: object) -> tuple[int, dict[str, Any]]:
        answered = ask(self._front, "POST", "/predict", chunks=[json.dumps(body).encode()])
        return answered.status, json.loads(answered.body)


@pytest.fixture(scope="module", params=CONTRACTS)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fronted]:
    api = shipped_api(tmp_path_factory.mktemp(request.param), request.param)
    yield Fronted(api)
    api.close()


def spelled(label: str) -> Iterator[str]:
    """A label as people and files write it."""
    yield from (label, label.lower(), label.upper(), label.title(), f" {label}", f"{label}\t ")
    yield from (label.replace(" ", "  "), label.replace(" ", ""), label.replace(" ", "_"))


def values_of(column: Column) -> Iterator[Any]:
    for label in (*(column.categories or ()), *column.aliases):
        yield from spelled(label)
        if column.integer_categories and label.lstrip("-").isdecimal():
            yield from (int(label), float(label), int(label) + 1)
    step = 1 if column.kind == "integer" else 10.0 ** -(column.decimals or 2)
    for limit in (*(column.hard or ()), *(column.usual or ())):
        yield from (limit, limit - step, limit + step, float(limit), str(limit), f" {limit} ")
        yield from (math.nextafter(limit, math.inf), math.nextafter(limit, -math.inf))
    yield from column.null_tokens
    yield from ODD


def steady(answer: dict[str, Any]) -> dict[str, Any]:
    """What two answers to one question have in common; probabilities to the last digit but one."""
    kept = {k: v for k, v in answer.items() if k not in CHANGING | EXPLAINED}
    for name in ("churn_probability", "confidence"):
        if name in kept:
            kept[name] = pytest.approx(kept[name], abs=1.1e-6)
    return kept


def compare(service: Fronted, row: dict[str, Any]) -> int:
    """Ask both ways; the status that both gave."""
    flat, wrapped = service.post(row), service.post({"features": row})
    assert flat[0] == wrapped[0], row
    assert flat[0] in (200, 422), row
    if flat[0] == 422:
        assert flat == wrapped, row
    else:
        asked = {k: v for k, v in flat[1].items() if k not in CHANGING | EXPLAINED}
        assert asked == steady(wrapped[1]), row
    return flat[0]


def test_every_value_of_every_column(service: Fronted) -> None:
    typical = example_customers(service.contract)["typical"]
    statuses: Counter[int] = Counter()
    before = service.num_quick
    for name, column in service.contract.columns.items():
        for value in values_of(column):
            statuses[compare(service, {**typical, name: value})] += 1
        without = {field: value for field, value in typical.items() if field != name}
        assert compare(service, without) == (200 if column.nullable else 422)
    assert min(statuses[200], statuses[422]) > 50
    if not service.contract.explain_by_default:  # else every row goes the long way
        assert service.num_quick - before > 50


def test_every_pair_of_labels_of_neighbouring_columns(service: Fronted) -> None:
    typical = example_customers(service.contract)["typical"]
    choices = {
        name: column.categories
        for name, column in service.contract.columns.items()
        if column.categories
    }
    for one, other in itertools.pairwise(choices):
        for labels in itertools.product(choices[one], choices[other]):
            compare(service, {**typical, one: labels[0], other: labels[1]})


def test_ids_and_truths_are_taken_alike(service: Fronted) -> None:
    typical = example_customers(service.contract)["typical"]
    contract = service.contract
    ids = [contract.id.column] if contract.id else []
    for name in (*ids, contract.target.column):
        for value in (
            "50001",
            50001,
            50001.0,
            1,
            "Yes",
            "",
            None,
            True,
            [],
            {},
            10**400,
            "x" * 500,
        ):
            compare(service, {**typical, name: value})
