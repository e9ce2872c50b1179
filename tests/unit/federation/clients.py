"""Small federations of generated rows, reached without Flower."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import ClientHandler, Reply, Request

CONTRACT = Contract.model_validate(
    {
        "contract": "small",
        "version": "1.0.0",
        "target": {"column": "churn", "positive": 1, "negative": 0},
        "columns": {
            "age": {"kind": "integer", "usual": [0, 100]},
            "plan": {"kind": "category", "categories": ["basic", "pro"]},
        },
    }
)


def table(client: str, num_rows: int, seed: int) -> ClientTable:
    """Rows in which young people on the basic plan churn more often."""
    generator = np.random.default_rng(seed)
    age = generator.integers(18, 90, num_rows).astype(np.float64)
    plan = generator.integers(0, 2, num_rows).astype(np.int32)
    logit = 1.5 - 0.05 * age - 1.0 * plan
    target = (generator.random(num_rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    return ClientTable(
        client=client,
        columns={"age": age, "plan": plan},
        target=target,
        customer_groups=np.arange(num_rows),
        group_keys=np.arange(num_rows).astype(np.uint64),
        row_numbers=np.arange(num_rows) + 1,
        split=(np.arange(num_rows) % 5).clip(0, 2).astype(np.int8) % 3,
    )


def joined(tables: Sequence[ClientTable], client: str) -> ClientTable:
    """All rows in one table."""
    first = tables[0]
    return ClientTable(
        client,
        {n: np.concatenate([t.columns[n] for t in tables]) for n in first.columns},
        *(
            np.concatenate([getattr(t, name) for t in tables])
            for name in ("target", "customer_groups", "group_keys", "row_numbers", "split")
        ),
    )


def federation(tables: Sequence[ClientTable]) -> DirectExchange:
    """An exchange that reaches a session per table."""
    return DirectExchange({t.client: ClientSession(t, CONTRACT) for t in tables})


class Altered:
    """A client whose replies are changed on their way out."""

    def __init__(self, handler: ClientHandler, change: Callable[[Request, Reply], Reply]) -> None:
        self._handler = handler
        self._change = change

    def handle(self, request: Request) -> Reply:
        return self._change(request, self._handler.handle(request))


class Broken:
    """A client that fails."""

    def handle(self, request: Request) -> Reply:
        raise OSError(f"disk gone during {request.task}")
