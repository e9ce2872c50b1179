"""Small made-up clients for evaluation tests."""

from __future__ import annotations

import numpy as np

from fedchurn.data.client_table import ClientTable


def made_up_client(
    name: str, seed: int, *, num_rows: int = 240, one_class: bool = False
) -> ClientTable:
    """Churn rises with ``complaints`` and with label 1 of ``plan``; ``noise`` says nothing."""
    random = np.random.default_rng(seed)
    complaints = random.poisson(1.5, num_rows).astype(np.float64)
    plan = random.integers(0, 3, num_rows).astype(np.int32)
    logit = -2.0 + 0.9 * complaints + 1.5 * (plan == 1)
    target = (random.random(num_rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    complaints[random.random(num_rows) < 0.1] = np.nan
    plan[random.random(num_rows) < 0.05] = -1
    plan[random.random(num_rows) < 0.02] = -2
    groups = np.arange(num_rows, dtype=np.int64)
    return ClientTable(
        client=name,
        columns={"complaints": complaints, "plan": plan, "noise": random.normal(size=num_rows)},
        target=np.zeros(num_rows, np.int8) if one_class else target,
        customer_groups=groups,
        group_keys=(groups + 10_000 * seed).astype(np.uint64),
        row_numbers=groups + 1,
        split=random.choice(3, num_rows, p=[0.65, 0.15, 0.2]).astype(np.int8),
    )
