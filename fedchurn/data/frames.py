"""Raw cells into canonical ones, by the contract and nothing else.

A canonical frame holds the id (text), the target (1, 0, NaN) and the contract's columns: numbers
as float64 with NaN, labels and texts as ``str`` objects with None. Nothing is dropped or rejected
here: what cannot be read is listed, and the quality gate judges it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.cells import as_flag, whole
from fedchurn.contract.columns import (
    MISSING,
    UNKNOWN,
    Columns,
    add_derived,
    column_labels,
    text_code,
)
from fedchurn.contract.schema import Column, Contract
from fedchurn.data.sources import RawTable

Labels = NDArray[np.object_]


@dataclass(frozen=True)
class Unreadable:
    """A cell of a number column that holds no finite number; it counts as missing."""

    column: str
    row_number: int
    value: str


@dataclass(frozen=True)
class CanonicalTable:
    """A client's rows after aliases and null tokens, before any check.

    Attributes:
        frame: id, target and contract columns; see the module docstring. A category outside the
            contract keeps its text.
        row_numbers: int64, 1-based data row in the source.
        unreadable: cells of number columns that are no finite numbers (NaN in ``frame``).
        missing_columns: columns of the contract that the source lacks (all missing in ``frame``).
        extra_columns: columns of the source that the contract does not know (dropped).
        aliased: rows per column whose spelling was replaced by an alias.
        unknown_targets: rows per target value that is neither label; "" is the empty cell.
    """

    client: str
    frame: pd.DataFrame
    row_numbers: NDArray[np.int64]
    unreadable: tuple[Unreadable, ...]
    missing_columns: tuple[str, ...]
    extra_columns: tuple[str, ...]
    aliased: dict[str, int]
    unknown_targets: dict[str, int]
    source: str
    sha256: str
    is_sample: bool


def canonical_table(raw: RawTable, contract: Contract) -> CanonicalTable:
    """Bring a raw table into canonical form (n rows in, n rows out, same order)."""
    wanted = _wanted_columns(contract)
    places = _places(raw.frame, wanted)
    cells: dict[str, NDArray[Any]] = {}
    unreadable: list[Unreadable] = []
    aliased: dict[str, int] = {}
    unknown_targets: dict[str, int] = {}
    for name in wanted:
        if name not in places:
            cells[name] = _all_missing(name, contract, raw.num_rows)
            continue
        values = raw.frame.iloc[:, places[name]]
        if name in contract.columns and contract.columns[name].is_number:
            cells[name], bad = _numbers(values, _tokens(contract.columns[name]))
            unreadable += [Unreadable(name, int(raw.row_numbers[i]), v) for i, v in bad]
        elif name in contract.columns:
            cells[name], aliased[name] = _labels(values, contract.columns[name])
        elif name == contract.target.column:
            cells[name], unknown_targets = _targets(values, contract)
        else:
            cells[name] = _decoded(*_factorised(values))
    return CanonicalTable(
        client=raw.client,
        frame=_frame(cells),
        row_numbers=raw.row_numbers,
        unreadable=tuple(unreadable),
        missing_columns=tuple(n for n in wanted if n not in places),
        extra_columns=_extra_columns(raw.frame, places),
        aliased={name: count for name, count in aliased.items() if count},
        unknown_targets=unknown_targets,
        source=raw.source,
        sha256=raw.sha256,
        is_sample=raw.is_sample,
    )


def frame_columns(frame: pd.DataFrame, contract: Contract) -> Columns:
    """A canonical frame as the arrays of ``fedchurn.contract.columns``, derived ones included."""
    columns: Columns = {}
    for name, column in contract.columns.items():
        if column.is_number:
            columns[name] = frame[name].to_numpy(np.float64)
        else:
            columns[name] = _codes(frame[name].to_numpy(object), contract, name)
    return add_derived(columns, contract)


def _wanted_columns(contract: Contract) -> tuple[str, ...]:
    key = (contract.id.column,) if contract.id else ()
    return (*key, contract.target.column, *contract.columns)


def _places(frame: pd.DataFrame, wanted: tuple[str, ...]) -> dict[str, int]:
    """Position of each wanted column; blanks around a source name do not matter."""
    found: dict[str, int] = {}
    for place, name in enumerate(frame.columns):
        found.setdefault(str(name).strip(), place)
    return {name: found[name] for name in wanted if name in found}


def _extra_columns(frame: pd.DataFrame, places: dict[str, int]) -> tuple[str, ...]:
    used = set(places.values())
    return tuple(str(name) for place, name in enumerate(frame.columns) if place not in used)


def _all_missing(name: str, contract: Contract, num_rows: int) -> NDArray[Any]:
    column = contract.columns.get(name)
    if name == contract.target.column or (column is not None and column.is_number):
        return np.full(num_rows, np.nan)
    return np.full(num_rows, None, dtype=object)


def _frame(cells: dict[str, NDArray[Any]]) -> pd.DataFrame:
    """Labels stay Python strings: pandas would turn them into its own string type."""
    series = {name: pd.Series(values, dtype=values.dtype) for name, values in cells.items()}
    return pd.DataFrame(series, columns=pd.Index(list(series), dtype=object))


def _tokens(column: Column) -> frozenset[str]:
    return frozenset(token.strip() for token in column.null_tokens)


def cell_text(value: object) -> str | None:
    """A cell as stripped text, None if empty: 1, 1.0 and '1' differ only until ``whole``."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float | Decimal):
        if value != value:
            return None
        return repr(value) if isinstance(value, float) else str(value)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    return str(value)


def _factorised(values: pd.Series[Any]) -> tuple[NDArray[np.intp], list[str]]:
    """Codes per row (-1 missing) and the distinct texts behind them, whole numbers without .0."""
    if values.dtype == object and _equal_means_same(values):
        codes, found = pd.factorize(values.to_numpy(object))
    elif values.dtype == object:
        texts = np.asarray([cell_text(v) for v in values.to_numpy(object)] + [None], dtype=object)
        codes, found = pd.factorize(texts[:-1])
    else:
        codes, found = pd.factorize(values.array)
    stripped = [cell_text(v) for v in np.asarray(found, dtype=object)]
    texts_found = [None if t is None else whole(t) for t in stripped]
    return _merged(np.asarray(codes), texts_found)


def _equal_means_same(cells: pd.Series[Any]) -> bool:
    """Whether equal objects read the same; mixed cells do not: True == 1 == Decimal(1)."""
    kinds = ("string", "integer", "floating", "mixed-integer-float", "boolean", "decimal")
    return pd.api.types.infer_dtype(cells, skipna=True) in kinds


def _merged(
    codes: NDArray[np.intp], meanings: list[str | None]
) -> tuple[NDArray[np.intp], list[str]]:
    """Codes after several spellings became one text, or missing."""
    place: dict[str, int] = {}
    move = [-1 if m is None else place.setdefault(m, len(place)) for m in meanings]
    return np.asarray([*move, -1], dtype=np.intp)[codes], list(place)


def _decoded(codes: NDArray[np.intp], texts: list[Any]) -> Labels:
    table = np.empty(len(texts) + 1, dtype=object)
    table[:-1] = texts
    table[-1] = None
    return np.asarray(table[codes])


def _labels(values: pd.Series[Any], column: Column) -> tuple[Labels, int]:
    codes, texts = _factorised(values)
    tokens = _tokens(column)
    labels = [None if t in tokens else _label(t, column) for t in texts]
    replaced = [m is not None and m != t for t, m in zip(texts, labels, strict=True)]
    num_aliased = int(np.asarray([*replaced, False])[codes].sum())
    return _decoded(codes, labels), num_aliased


def _label(text: str, column: Column) -> str:
    if text in (column.categories or ()):
        return text
    if text in column.aliases:
        return column.aliases[text]
    return as_flag(text, column.categories or ())


def _targets(
    values: pd.Series[Any], contract: Contract
) -> tuple[NDArray[np.float64], dict[str, int]]:
    codes, texts = _factorised(values)
    known = {contract.target.positive: 1.0, contract.target.negative: 0.0}
    if set(known) == {"0", "1"}:
        known |= {flag: known[one] for flag, one in (("True", "1"), ("False", "0"))}
    meanings = np.asarray([*(known.get(t, np.nan) for t in texts), np.nan])
    counts = np.bincount(codes + 1, minlength=len(texts) + 1)
    unknown = {t: int(n) for t, n in zip(["", *texts], counts, strict=True) if t not in known and n}
    return meanings[codes], unknown


def _numbers(
    values: pd.Series[Any], tokens: frozenset[str]
) -> tuple[NDArray[np.float64], list[tuple[int, str]]]:
    """float64 numbers, and (row, text) of the cells that are no finite number."""
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        numbers = values.to_numpy(np.float64, na_value=np.nan).copy()
        bad_rows = np.flatnonzero(np.isinf(numbers))
        numbers[bad_rows] = np.nan
        return numbers, [(int(i), cell_text(values.iloc[i]) or "") for i in bad_rows]
    codes, texts = _factorised(values)
    texts_or_null = ["nan" if t in tokens else t for t in texts]
    parsed = _parsed(texts_or_null)
    is_bad = ~np.isfinite(parsed) & np.asarray([t.lower() != "nan" for t in texts_or_null], bool)
    parsed[is_bad] = np.nan
    rows = np.flatnonzero(np.append(is_bad, False)[codes])
    return np.append(parsed, np.nan)[codes], [(int(i), texts[codes[i]]) for i in rows]


def _parsed(texts: list[str]) -> NDArray[np.float64]:
    """Correctly rounded numbers (unlike pandas' own parser); inf where a text is no number."""
    try:
        if not any("_" in t for t in texts):  # Python reads 1_000 as a number; people do not
            return np.asarray(texts, dtype=object).astype(np.float64)
    except ValueError:
        pass
    return np.asarray([_number(t) for t in texts], dtype=np.float64)


def _number(text: str) -> float:
    try:
        return np.inf if "_" in text else float(text)
    except ValueError:
        return np.inf


def _codes(values: Labels, contract: Contract, name: str) -> NDArray[np.int32]:
    codes, distinct = pd.factorize(values)
    code_of = _coder(contract, name)
    return np.asarray([*(code_of(t) for t in distinct), MISSING], dtype=np.int32)[codes]


def _coder(contract: Contract, name: str) -> Callable[[str], int]:
    column = contract.columns[name]
    if column.kind == "text":
        return lambda text: text_code(text, column.buckets)
    known = {label: code for code, label in enumerate(column_labels(contract, name))}
    return lambda text: known.get(text, UNKNOWN)
