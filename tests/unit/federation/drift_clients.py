"""Clients with rows of their own, and a release that was trained on earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable
from fedchurn.drift.verdict import SCORE_COLUMN
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.encoding.ranges import histogram_edges
from fedchurn.encoding.statistics import (
    Statistics,
    client_statistics,
    merge_small_cells,
    pool_statistics,
)
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.drift.question import DriftQuestion
from fedchurn.learning.spec import ModelSpec, predict_probability

CLIENTS = ("a", "b", "c", "d", "e")
LABELS = ("basic", "plus", "pro", "team")
K = 5

CONTRACT = Contract.model_validate(
    {
        "contract": "shop",
        "version": "1.0.0",
        "target": {"column": "churn", "positive": 1, "negative": 0},
        "columns": {
            "tenure": {"kind": "integer", "usual": [0, 72], "nullable": True, "drift": "ks"},
            "spend": {"kind": "number", "usual": [0, 500], "drift": "ks"},
            "plan": {"kind": "category", "categories": list(LABELS), "drift": "chi_squared"},
        },
    }
)
ENCODER = Encoder(
    (
        NumberEncoding("tenure", 20.0, 15.0, 20.0, (), missing_flag=True),
        NumberEncoding("spend", 80.0, 60.0, 80.0, (), missing_flag=False),
        CategoryEncoding("plan", LABELS, missing_flag=False),
    )
)
SPEC = ModelSpec(ENCODER.num_inputs)
WEIGHTS = (
    np.array([[0.3], [-0.9], [-0.5], [0.4], [0.0], [-0.2], [0.1], [0.0]], dtype=np.float32),
    np.array([-1.0], dtype=np.float32),
)
SCORE_EDGES = np.linspace(0, 1, 65)[1:-1]

Values = dict[str, NDArray[np.float64]]
Shift = Callable[[Values], None]


def values(client: str, num_rows: int, seed: int) -> Values:
    """Every client has customers of its own kind; some miss their tenure."""
    generator = np.random.default_rng([seed, ord(client)])
    kind = CLIENTS.index(client)
    tenure = np.rint(generator.gamma(2 + kind, 5, num_rows))
    spend = np.round(generator.gamma(3, 20 + 5 * kind, num_rows), 2)
    plan = generator.choice(4, num_rows, p=[0.5, 0.3, 0.19, 0.01])
    churn = generator.random(num_rows) < 0.15 + 0.02 * kind
    tenure[generator.random(num_rows) < 0.04] = np.nan
    return {"tenure": tenure, "spend": spend, "plan": plan.astype(float), "churn": churn * 1.0}


def table(client: str, found: Values) -> ClientTable:
    num_rows = len(found["churn"])
    return ClientTable(
        client=client,
        columns={
            "tenure": found["tenure"],
            "spend": found["spend"],
            "plan": found["plan"].astype(np.int32),
        },
        target=found["churn"].astype(np.int8),
        customer_groups=np.arange(num_rows),
        group_keys=np.arange(num_rows, dtype=np.uint64),
        row_numbers=np.arange(num_rows) + 1,
        split=np.empty(0, dtype=np.int8),
    )


def current(
    seed: int, shifted: str = "", shift: Shift | None = None, num_rows: int = 200
) -> dict[str, ClientTable]:
    """Today's rows of all clients; those that are ``shifted`` have changed."""
    found = {}
    for client in CLIENTS:
        drawn = values(client, num_rows, 10_000 + seed)
        if shift is not None and client in shifted:
            shift(drawn)
        found[client] = table(client, drawn)
    return found


def sessions(tables: Mapping[str, ClientTable]) -> dict[str, ClientSession]:
    return {client: ClientSession(one, CONTRACT) for client, one in tables.items()}


def federation(tables: Mapping[str, ClientTable]) -> DirectExchange:
    return DirectExchange(sessions(tables))


def question(seed: int, num_rows: int = 1000, **more: Any) -> DriftQuestion:
    """What a release asks that was trained on ``num_rows`` rows of every client."""
    trained = {client: table(client, values(client, num_rows, seed)) for client in CLIENTS}
    return DriftQuestion(CONTRACT, stored(trained), ENCODER, SPEC, WEIGHTS, **more)


def stored(trained: Mapping[str, ClientTable]) -> dict[str, Any]:
    """A ``reference.json`` of these rows, scores included."""
    edges = histogram_edges(CONTRACT)
    statistics = {
        client: client_statistics(one.columns, one.target, CONTRACT, min_cell_rows=K)
        for client, one in trained.items()
    }
    scores = {client: _scores([one]) for client, one in trained.items()}
    return {
        "format": 2,
        "labels": {"plan": list(LABELS)},
        "edges": {f.name: edges[f.name].tolist() for f in features(CONTRACT) if f.is_number},
        "own_edges": {SCORE_COLUMN: SCORE_EDGES.tolist()},
        "pooled": _part(pool_statistics(list(statistics.values())), _scores(trained.values())),
        "clients": {c: _part(found, scores[c]) for c, found in statistics.items()},
        "dependence": None,
        "calibration": None,
    }


def _scores(tables: Any) -> NDArray[np.float64]:
    return np.concatenate(
        [predict_probability(SPEC, WEIGHTS, ENCODER.encode(one.columns)) for one in tables]
    )


def _part(found: Statistics, scores: NDArray[np.float64]) -> dict[str, Any]:
    counts = np.bincount(np.searchsorted(SCORE_EDGES, scores, side="right"), minlength=64)
    numbers = {
        name: {"missing": sums.missing, "cells": _sparse(sums.cells)}
        for name, sums in found.numbers.items()
    }
    categories = {
        name: {"cells": c.cells.tolist(), "missing": c.missing, "unknown": c.unknown}
        for name, c in found.categories.items()
    }
    own = {"cells": _sparse(merge_small_cells(counts, K)), "num_rows": len(scores)}
    return {
        "num_rows": found.num_rows,
        "num_positive": found.num_positive,
        "num_effective_rows": found.num_rows,
        "numbers": numbers,
        "categories": categories,
        "own": {SCORE_COLUMN: own},
    }


def _sparse(cells: NDArray[np.float64]) -> list[list[float]]:
    return [[float(place), float(cells[place])] for place in np.flatnonzero(cells)]


def longer_tenure(found: Values) -> None:
    found["tenure"] = np.rint(found["tenure"] * 1.6 + 2)


def more_missing(found: Values) -> None:
    found["tenure"][::5] = np.nan


def other_plans(found: Values) -> None:
    found["plan"][::3] = 2.0


def more_churn(found: Values) -> None:
    found["churn"][::3] = 1.0


SHIFTS: Sequence[tuple[Shift, str, str]] = (
    (longer_tenure, "tenure", "covariate"),
    (more_missing, "tenure", "covariate"),
    (other_plans, "plan", "covariate"),
    (more_churn, "churned", "label"),
)
