"""The shop's typical customer, and ways to watch how it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.encoding.ranges import histogram_edges
from tests.unit.release.releases import CONTRACT

EDGES = histogram_edges(CONTRACT)


def cells(name: str, values: list[float]) -> dict[str, Any]:
    """The histogram of ``values`` as ``reference.json`` holds it."""
    places = np.searchsorted(EDGES[name], values, side="right")
    return {
        "count": len(values),
        "missing": 0,
        "cells": [[float(p), float((places == p).sum())] for p in np.unique(places)],
    }


# Median tenure 12 months; cashback in cells 0.625 wide, the middle one from 150 to 150.625, of
# which the median is taken to be the middle (rounded to whole cents); computers; bucket 2.
REFERENCE: dict[str, Any] = {
    "edges": {name: edges.tolist() for name, edges in EDGES.items()},
    "pooled": {
        "numbers": {
            "Tenure": cells("Tenure", [1, 12, 12, 12, 40]),
            "Cashback": cells("Cashback", [10, 20, 150.1, 150.2, 150.3, 150.4, 160, 320]),
        },
        "categories": {
            "Device": {"cells": [3, 5], "missing": 0, "unknown": 0},
            "City": {"cells": [1, 2, 4, 1], "missing": 0, "unknown": 0},
        },
    },
}


class Watched(Encoder):
    """Remembers the columns that reach a model."""

    def __init__(self, encodings: tuple[NumberEncoding | CategoryEncoding, ...]) -> None:
        super().__init__(encodings)
        object.__setattr__(self, "asked", [])

    asked: list[Columns]

    def encode(self, columns: Columns) -> NDArray[np.float32]:
        self.asked.append(columns)
        return super().encode(columns)


def shop_contract() -> Contract:
    """The shop, with a rule: no tenure yet means no cashback yet, and the other way round."""
    plain = CONTRACT.model_dump()
    rule = {
        "op": "implies",
        "id": "new",
        "when": [{"column": "Tenure", "is_null": True}],
        "then": [{"column": "Cashback", "at_most": 0}],
        "both_ways": True,
    }
    return Contract.model_validate({**plain, "rules": [rule]})
