"""The sample: rows made up from a contract, as raw as a real file.

It is the default data of a fresh clone. Its figures say nothing about real customers, so every
report says that it is a sample (``RawTable.is_sample``).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedchurn.contract.schema import Contract, Scenario
from fedchurn.data.sample_cells import label_cells, number_cells
from fedchurn.data.sample_churn import draw_churn
from fedchurn.data.sample_copies import draw_copies, num_copies, shift_of
from fedchurn.data.sample_draft import Draft, draw, gaps, stream, without
from fedchurn.data.sample_ids import sample_ids
from fedchurn.data.sample_rules import Repair
from fedchurn.data.sources import RawTable, sidecar_path
from fedchurn.errors import SettingsError, nearest

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
    num_exact, num_near = num_copies(contract, num_rows)
    num_customers = num_rows - num_exact - num_near
    calm = _mended(contract, num_customers, seed, None)
    draft = calm if changes is None else _mended(contract, num_customers, seed, changes)
    churn = draw_churn(draft, calm, contract, seed)
    source, shifts = draw_copies(draft, calm, contract, num_near, num_exact, seed)
    cells: dict[str, Any] = {}
    if contract.id is not None:
        cells[contract.id.column] = sample_ids(contract, num_rows)
    for name, column in contract.columns.items():
        values = draft.columns[name][source]
        if column.is_number:
            cells[name] = number_cells(values + shifts * shift_of(name, contract), column)
        else:
            cells[name] = label_cells(values, name, draft, contract, seed)
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
    """Write a sample as csv, and beside it ``NAME.sample.json``, which says that it is one.

    Raises:
        SettingsError: the file cannot be written there.
    """
    data = _csv_bytes(frame, contract)
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
    try:
        path.write_bytes(data)
        sidecar_path(path).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise SettingsError(
            f"the sample cannot be written: {error.strerror or error}",
            where=str(path),
            next_step="name a file in a folder that exists and may be written to",
        ) from None


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


def _mended(contract: Contract, num_rows: int, seed: int, scenario: Scenario | None) -> Draft:
    draft = draw(contract, num_rows, seed, scenario)
    changes = scenario or Scenario()
    disturbed = frozenset([*changes.ranges, *changes.scale, *changes.weights])
    Repair(draft, contract, stream(seed, "rules"), disturbed).run()
    for name in changes.null_fraction:  # values get lost after the fact, against the rules too
        rows = gaps(name, contract.columns[name], num_rows, seed, changes)
        draft.columns[name] = without(draft.columns[name], rows)
    return draft
