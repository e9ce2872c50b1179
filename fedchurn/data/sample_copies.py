"""Copies of customers in a generated sample, as real files hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.rules import Implies, NearProduct
from fedchurn.contract.schema import Contract
from fedchurn.data.sample_draft import Draft, centre, limits, stream


def num_copies(contract: Contract, num_rows: int) -> tuple[int, int]:
    """Exact duplicates and near copies; at least a tenth of the rows are customers of their own."""
    num_exact = round(num_rows * contract.sample.exact_duplicate_fraction)
    num_near = round(num_rows * contract.sample.near_copy_fraction)
    room = num_rows - max(num_rows // 10, 1)
    return num_exact, min(num_near, room - num_exact)


def draw_copies(
    draft: Draft, calm: Draft, contract: Contract, num_near: int, num_exact: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Source row per sample row, and how often its numbers are shifted (0 for no near copy)."""
    num_customers = len(next(iter(draft.columns.values())))
    able = np.flatnonzero(_can_shift(draft, calm, contract))
    able = able if len(able) else np.arange(num_customers)
    near = able[np.arange(num_near) % len(able)]
    times = 1 + np.arange(num_near) // len(able)
    exact = stream(seed, "duplicates").choice(num_customers, num_exact, num_exact > num_customers)
    source = np.concatenate([np.arange(num_customers), near, exact]).astype(np.intp)
    shifts = np.concatenate([np.zeros(num_customers), times, np.zeros(num_exact)])
    return source, shifts.astype(np.int64)


def _can_shift(draft: Draft, calm: Draft, contract: Contract) -> NDArray[np.bool_]:
    """Rows whose copy stays possible, and in the usual range if it was there before."""
    able = np.ones(len(next(iter(draft.columns.values()))), dtype=bool)
    for name in contract.number_columns:
        column, shift = contract.columns[name], shift_of(name, contract)
        able &= ~(calm.columns[name] + shift > limits(column)[1])
        if column.hard is not None:
            able &= ~(draft.columns[name] + shift > column.hard[1])
    return able


def shift_of(name: str, contract: Contract) -> float:
    """Shift of a near copy: 1, or half a standard deviation; 0 where a rule could break."""
    column = contract.columns[name]
    if name in _ruled_columns(contract):
        return 0.0
    if column.kind == "integer":
        return 1.0
    return round(centre(column)[1] / 2, 2 if column.decimals is None else column.decimals)


def _ruled_columns(contract: Contract) -> set[str]:
    names: set[str] = set()
    for rule in contract.rules:
        if isinstance(rule, Implies):
            names |= {c.column for c in (*rule.when, *rule.then)}
        elif isinstance(rule, NearProduct):
            names |= {rule.column, *rule.factors}
        else:
            names |= {rule.low, rule.high}
    return names
