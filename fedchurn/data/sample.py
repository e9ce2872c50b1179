"""The sample: rows made up from a contract, as raw as a real file.

It is the default data of a fresh clone. Its figures say nothing about real customers, so every
report says that it is a sample (``RawTable.is_sample``).

Churn is drawn by a latent score: effects of the values (and of missing ones) plus logistic noise;
the intercept is the quantile at which the share of churn is ``target.rate``. A scenario keeps the
intercept: the world is disturbed, what makes customers leave is not.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.rules import Implies, NearProduct
from fedchurn.contract.schema import Column, Contract, Scenario
from fedchurn.data.sample_draft import (
    Draft,
    Values,
    centre,
    draw,
    gaps,
    limits,
    shape_of,
    silo_labels,
    stream,
    without,
)
from fedchurn.data.sample_ids import sample_ids
from fedchurn.data.sample_rules import Repair
from fedchurn.data.sources import RawTable, sidecar_path
from fedchurn.errors import SettingsError, nearest

DEFAULT_RATE = 0.25  # share of churn where the contract states none
MIN_ROWS = 10


def generate_sample(
    contract: Contract, *, rows: int | None = None, seed: int = 0, scenario: str | None = None
) -> pd.DataFrame:
    """Made-up source rows: id, contract columns and target, all cells text as in a csv file.

    The same arguments give the same cells. The rows are first distinct customers, then near copies
    (a constant shift of the numbers) and exact duplicates under other ids, in the shares that
    ``contract.sample`` asks for.

    Raises:
        SettingsError: unknown scenario, too few rows, or a negative seed.
        ContractError: the contract's rules contradict each other.
    """
    num_rows = _checked_rows(contract, rows, seed)
    changes = _scenario(contract, scenario)
    num_exact, num_near = _num_copies(contract, num_rows)
    num_customers = num_rows - num_exact - num_near
    calm = _mended(contract, num_customers, seed, None)
    draft = calm if changes is None else _mended(contract, num_customers, seed, changes)
    churn = _churn(draft, calm, contract, seed)
    source, shifts = _copies(draft, calm, contract, num_near, num_exact, seed)
    cells: dict[str, Any] = {}
    if contract.id is not None:
        cells[contract.id.column] = sample_ids(contract, num_rows)
    for name, column in contract.columns.items():
        values = draft.columns[name][source]
        if column.is_number:
            cells[name] = _number_cells(values + shifts * _shift(name, contract), column)
        else:
            cells[name] = _label_cells(values, name, draft, contract, seed)
    target = np.asarray([contract.target.negative, contract.target.positive], dtype=object)
    cells[contract.target.column] = target[churn[source].astype(int)]
    return pd.DataFrame({name: pd.array(texts, dtype="str") for name, texts in cells.items()})


def sample_table(
    contract: Contract, *, rows: int | None = None, seed: int = 0, scenario: str | None = None
) -> RawTable:
    """A generated sample as the table that ``read_table`` would give."""
    frame = generate_sample(contract, rows=rows, seed=seed, scenario=scenario)
    source = f"generated sample of {contract.contract} (seed {seed}"
    source += f", scenario {scenario})" if scenario else ")"
    digest = hashlib.sha256(_csv_bytes(frame, contract)).hexdigest()
    row_numbers = np.arange(1, len(frame) + 1, dtype=np.int64)
    return RawTable("", frame, row_numbers, source, digest, is_sample=True)


def write_sample(
    frame: pd.DataFrame,
    path: Path,
    contract: Contract,
    *,
    seed: int,
    scenario: str | None = None,
) -> None:
    """Write a sample as csv, and beside it ``NAME.sample.json``, which says that it is one."""
    data = _csv_bytes(frame, contract)
    path.write_bytes(data)
    facts = {
        "sample": True,
        "note": "made up by fedchurn; its figures say nothing about real customers",
        "contract": contract.contract,
        "contract_version": contract.version,
        "rows": len(frame),
        "seed": seed,
        "scenario": scenario,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    sidecar_path(path).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def _csv_bytes(frame: pd.DataFrame, contract: Contract) -> bytes:
    text = frame.to_csv(index=False, sep=contract.source.delimiter, lineterminator="\n")
    return text.encode("utf-8")


def _checked_rows(contract: Contract, rows: int | None, seed: int) -> int:
    num_rows = contract.sample.rows if rows is None else rows
    if num_rows < MIN_ROWS or seed < 0:
        what = f"{num_rows} rows" if num_rows < MIN_ROWS else f"seed {seed}"
        raise SettingsError(
            f"a sample cannot have {what}",
            where="sample",
            next_step=f"ask for at least {MIN_ROWS} rows and a seed of 0 or more",
        )
    return num_rows


def _scenario(contract: Contract, name: str | None) -> Scenario | None:
    scenarios = contract.sample.scenarios
    if name is None:
        return None
    if name not in scenarios:
        raise SettingsError(
            f"unknown scenario {name!r}",
            where=f"contract {contract.contract}, sample.scenarios",
            next_step=nearest(name, scenarios),
        )
    return scenarios[name]


def _num_copies(contract: Contract, num_rows: int) -> tuple[int, int]:
    """Exact duplicates and near copies; at least a tenth of the rows are customers of their own."""
    num_exact = round(num_rows * contract.sample.exact_duplicate_fraction)
    num_near = round(num_rows * contract.sample.near_copy_fraction)
    room = num_rows - max(num_rows // 10, 1)
    return num_exact, min(num_near, room - num_exact)


def _mended(contract: Contract, num_rows: int, seed: int, scenario: Scenario | None) -> Draft:
    draft = draw(contract, num_rows, seed, scenario)
    changes = scenario or Scenario()
    disturbed = frozenset([*changes.ranges, *changes.scale, *changes.weights])
    Repair(draft, contract, stream(seed, "rules"), disturbed).run()
    for name in changes.null_fraction:  # values get lost after the fact, against the rules too
        rows = gaps(name, contract.columns[name], num_rows, seed, changes)
        draft.columns[name] = without(draft.columns[name], rows)
    return draft


def _churn(draft: Draft, calm: Draft, contract: Contract, seed: int) -> NDArray[np.bool_]:
    rng = stream(seed, "churn")
    num_rows = len(next(iter(draft.columns.values())))
    noise = contract.sample.noise * rng.standard_normal(num_rows) + rng.logistic(size=num_rows)
    rate = contract.target.rate if contract.target.rate is not None else DEFAULT_RATE
    num_churn = min(max(round(rate * num_rows), 1), num_rows - 1)
    calm_scores = np.sort(_logits(calm, calm, contract) + noise)
    threshold = (calm_scores[-num_churn - 1] + calm_scores[-num_churn]) / 2
    return np.asarray(_logits(draft, calm, contract) + noise > threshold)


def _logits(draft: Draft, calm: Draft, contract: Contract) -> NDArray[np.float64]:
    """Churn logit per row without intercept; scales come from the undisturbed sample."""
    logits = np.zeros(len(next(iter(draft.columns.values()))))
    for name, column in contract.columns.items():
        effects = _effects(name, column, draft, calm)
        logits += np.where(draft.is_missing(name), shape_of(column).null_effect, effects)
    labels = silo_labels(contract)
    if len(labels) > 1 and contract.silo_column is not None:
        offsets = contract.sample.silo_effect * np.linspace(-1, 1, len(labels))
        logits += np.append(offsets, 0.0)[draft.columns[contract.silo_column]]
    return logits


def _effects(name: str, column: Column, draft: Draft, calm: Draft) -> NDArray[np.float64]:
    shape = shape_of(column)
    if column.is_number:
        mean, spread = centre(column)
        if shape.mean is None or not shape.spread:
            known = calm.columns[name][~calm.is_missing(name)]
            mean, spread = (float(known.mean()), float(known.std())) if len(known) else (0.0, 1.0)
        return shape.effect * (draft.columns[name] - mean) / (spread or 1.0)
    table = [shape.effects.get(label, 0.0) for label in draft.labels[name]]
    return np.asarray([*table, 0.0])[draft.columns[name]]


def _copies(
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
        column, shift = contract.columns[name], _shift(name, contract)
        able &= ~(calm.columns[name] + shift > limits(column)[1])
        if column.hard is not None:
            able &= ~(draft.columns[name] + shift > column.hard[1])
    return able


def _shift(name: str, contract: Contract) -> float:
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


def _number_cells(values: NDArray[np.float64], column: Column) -> NDArray[np.object_]:
    distinct, places = np.unique(values, return_inverse=True)
    decimals = 0 if column.kind == "integer" else 2 if column.decimals is None else column.decimals
    texts = [_blank(column) if v != v else f"{v:.{decimals}f}" for v in distinct.tolist()]
    return np.asarray(texts, dtype=object)[places]


def _blank(column: Column) -> str:
    """How the source writes a missing value: its first null token, or an empty cell."""
    return column.null_tokens[0] if column.null_tokens else ""


def _label_cells(
    codes: Values, name: str, draft: Draft, contract: Contract, seed: int
) -> NDArray[np.object_]:
    """Labels, some of them in another spelling where the contract knows one."""
    column = contract.columns[name]
    labels = draft.labels[name]
    cells = np.asarray([*labels, _blank(column)], dtype=object)[codes]
    rng = stream(seed, name, "aliases")
    respelled = rng.random(len(cells)) < contract.sample.alias_fraction
    which = rng.random(len(cells))
    for code, label in enumerate(labels):
        spellings = [alias for alias, meant in column.aliases.items() if meant == label]
        if spellings:
            rows = respelled & (codes == code)
            chosen = (which[rows] * len(spellings)).astype(int)
            cells[rows] = np.asarray(spellings, dtype=object)[chosen]
    return cells
