"""A small contract and a release of it, made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedchurn.contract.load import contract_digest
from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.learning.spec import HiddenLayer, ModelSpec
from fedchurn.release.card import Card, RoundRecord
from fedchurn.release.golden import choose_golden_rows
from fedchurn.release.scorer import Scorer
from fedchurn.release.write import ReleaseParts

CONTRACT = Contract.model_validate(
    {
        "contract": "shop",
        "version": "1.2.0",
        "target": {"column": "Churn", "positive": 1, "negative": 0},
        "columns": {
            "Tenure": {"kind": "integer", "usual": [0, 60], "hard": [0, 240], "nullable": True},
            "Cashback": {"kind": "number", "usual": [0, 320], "decimals": 2},
            "Device": {"kind": "category", "categories": ["Phone", "Computer"]},
            "City": {"kind": "text", "buckets": 4},
        },
        "derived": {
            "PerMonth": {
                "op": "ratio",
                "numerator": "Cashback",
                "denominator": "Tenure",
                "floor": 1,
            }
        },
    }
)

ENCODER = Encoder(
    (
        NumberEncoding("Tenure", 30.0, 10.0, 20.0, (12.0, 24.0), True),
        NumberEncoding("Cashback", 160.0, 40.0, 150.0, (), False),
        CategoryEncoding("Device", ("Phone", "Computer"), False),
        CategoryEncoding("City", ("bucket_0", "bucket_1", "bucket_2", "bucket_3"), False),
        NumberEncoding("PerMonth", 10.0, 5.0, 10.0, (), True),
    )
)


def scorer(*, seed: int = 7, hidden: tuple[HiddenLayer, ...] = ()) -> Scorer:
    spec = ModelSpec(ENCODER.num_inputs, hidden=hidden)
    generator = np.random.default_rng(seed)
    weights = tuple(
        generator.normal(size=shape).astype(np.float32) for _, shape in spec.weight_shapes()
    )
    return Scorer(CONTRACT, ENCODER, spec, weights)


def card(**changes: Any) -> Card:
    known: dict[str, Any] = {
        "contract": "shop",
        "contract_version": "1.2.0",
        "contract_digest": contract_digest(CONTRACT),
        "data_digests": {"north": "a" * 64, "south": "b" * 64},
        "is_sample": True,
        "recipe": "additive",
        "settings": {"rounds": 2, "ridge": 1e-3},
        "seed": 42,
        "rounds": (
            RoundRecord(1, ("north", "south")),
            RoundRecord(2, ("north",), {"south": "no answer in 600 s"}),
        ),
        "metrics": {"accuracy": 0.894, "f1": 0.63, "roc_auc": 0.899},
        "client_metrics": {"north": {"roc_auc": 0.9}, "south": {"roc_auc": float("nan")}},
        "baselines": {"majority": {"accuracy": 0.83}},
        "threshold": 0.31,
        "objective": "f1",
        "library_versions": {"numpy": "2.4"},
        "git_commit": "0" * 40,
        "created_at": "2026-03-01T12:00:00+00:00",
        "privacy_notes": ("sums of gradients and Hessians left the clients",),
    }
    return Card(**(known | changes))


def parts(*, seed: int = 7, fallback: bool = True, **changes: Any) -> ReleaseParts:
    return ReleaseParts(
        card=card(**changes),
        model=scorer(seed=seed, hidden=(HiddenLayer(4, 0.2),)),
        reference={"Tenure": {"edges": [0, 30, 60], "counts": [5, 7]}},
        golden_rows=choose_golden_rows(CONTRACT, seed=1, num_rows=12),
        fallback=scorer(seed=seed + 1) if fallback else None,
    )
