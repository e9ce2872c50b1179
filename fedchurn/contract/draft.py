"""A first contract from any table; a person corrects it, and nothing needs to be programmed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.consistency import check_contract
from fedchurn.contract.draft_cells import Cells, read_cells
from fedchurn.contract.draft_columns import draft_column, words_of
from fedchurn.contract.draft_roles import (
    find_id,
    is_unique,
    reason_to_leave_out,
    target_labels,
    target_values,
)
from fedchurn.contract.schema import (
    Contract,
    Fallback,
    Identifier,
    SampleRules,
    Source,
    Target,
)
from fedchurn.errors import ContractError, nearest


def draft_contract(
    frame: pd.DataFrame,
    *,
    target: str,
    name: str,
    id_column: str | None = None,
    positive: str | None = None,
    source: Source | None = None,
) -> Contract:
    """Infer a contract from ``frame`` (any column types, also all text).

    Columns that cannot be features are left out, and ``description`` says which and why: empty and
    constant ones, dates, row counters, nearly unique texts, and those that give the target away.

    Args:
        frame: the table; n rows.
        target: column to predict; it must hold two values.
        name: name of the contract; brought into lower-case letters, digits and ``-``.
        id_column: column that names a customer; found by itself if None.
        positive: target value that means churn; if None a word such as 1 or Yes, else the rarer.
        source: how such files are read; only the number of rows is filled in.

    Raises:
        ContractError: unknown column, not two target values, no rows, or nothing to learn from.
    """
    where = f"draft of {name!r}"
    cells = _read_columns(frame, where)
    _require([target, *([id_column] if id_column else [])], cells, where)
    labels = target_labels(target, cells[target], positive, where)
    churn = target_values(cells.pop(target), labels)
    identifier = _identifier(id_column or find_id(cells), cells)
    if identifier is not None:
        cells.pop(identifier.column)
    left_out = {n: r for n, c in cells.items() if (r := reason_to_leave_out(n, c, churn))}
    columns = {n: draft_column(n, c, churn) for n, c in cells.items() if n not in left_out}
    if not columns:
        raise ContractError(
            f"no column is left to learn from: {_told(left_out) or 'the table has no other'}",
            where=where,
            next_step="give a table with columns that differ between customers",
        )
    return check_contract(
        Contract(
            contract=_slug(name),
            version="0.1.0",
            title=words_of(name),
            description=_description(churn, left_out),
            source=(source or Source()).model_copy(update={"rows": len(frame)}),
            id=identifier,
            target=Target(column=target, positive=labels[0], negative=labels[1], rate=_rate(churn)),
            columns=columns,
            fallback=Fallback(base_rate=_rate(churn), max_probability=max(0.95, _rate(churn))),
            sample=SampleRules(rows=min(max(len(frame), 300), 3000)),
        ),
        where,
    )


def _read_columns(frame: pd.DataFrame, where: str) -> dict[str, Cells]:
    """Cells by stripped name: readers of tables do not mind blanks around a name."""
    if not len(frame):
        raise ContractError("the table has no rows", where=where, next_step="give one with rows")
    found: dict[str, Cells] = {}
    for place, raw in enumerate(frame.columns):
        name = str(raw).strip()
        if name in found or not name:
            raise ContractError(
                f"column {place + 1} is named {name!r}, as another is, or has no name",
                where=where,
                next_step="give every column a name of its own",
            )
        found[name] = read_cells(frame.iloc[:, place])
    return found


def _require(names: Iterable[str], cells: dict[str, Cells], where: str) -> None:
    for name in names:
        if name not in cells:
            raise ContractError(
                f"the table has no column {name!r}; {nearest(name, cells)}",
                where=where,
                next_step="name a column of the table",
            )


def _identifier(name: str | None, cells: dict[str, Cells]) -> Identifier | None:
    return Identifier(column=name, unique=is_unique(cells[name])) if name else None


def _rate(churn: NDArray[np.float64]) -> float:
    return round(min(max(float(np.nanmean(churn)), 0.0001), 0.9999), 4)


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")
    return slug if slug[:1].isalpha() else f"contract-{slug}".rstrip("-")


def _told(left_out: dict[str, str]) -> str:
    return "; ".join(f"{name!r} ({reason})" for name, reason in left_out.items())


def _description(churn: NDArray[np.float64], left_out: dict[str, str]) -> str:
    unlabelled = int(np.isnan(churn).sum())
    parts = [f"Drafted from {len(churn)} rows; check kinds, limits and labels."]
    if unlabelled:
        parts.append(f"{unlabelled} rows have no target value.")
    if left_out:
        parts.append(f"Left out: {_told(left_out)}.")
    return " ".join(parts)
