"""One customer as sent by a caller: judged, made canonical, and turned into columns of one row.

The rules are those of tables: the same aliases, limits and labels. At serving time an unknown label
is kept and warned of, whatever ``dataset.unknown_category`` says about tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedchurn.contract.columns import MISSING, UNKNOWN, Columns, add_derived, text_code
from fedchurn.contract.conditions import Value, rule_holds
from fedchurn.contract.field_readers import Finding, Reader, field_reader
from fedchurn.contract.schema import Contract
from fedchurn.errors import nearest

_MAX_READERS = 16


@dataclass(frozen=True)
class RowProblem:
    """Why a row is refused.

    Attributes:
        field: the field, as the caller called it.
        value: what was sent; None if nothing was.
        limit: what would be accepted, such as ``0 to 240 months``.
        message: the whole story in one sentence.
        rule: kind of problem, for counters: missing, unknown_field, not_a_number, not_whole,
            hard_limit, not_a_label.
    """

    field: str
    value: object
    limit: str
    message: str
    rule: str


@dataclass(frozen=True)
class RowWarning:
    """Why an answer about a row deserves less trust; fields as in ``RowProblem``.

    ``rule`` is usual_range, unknown_category or cross_rule (then ``field`` is the rule's id).
    """

    field: str
    value: object
    limit: str
    message: str
    rule: str


@dataclass(frozen=True)
class CanonicalRow:
    """A judged row.

    Attributes:
        values: every contract column: float, label or text, None for missing. An unknown label
            keeps its text. Fields with a problem are None.
        problems: reasons to refuse the row; empty if it can be scored.
        warnings: reasons to trust the answer less.
    """

    values: dict[str, Value]
    problems: tuple[RowProblem, ...]
    warnings: tuple[RowWarning, ...]


@dataclass(frozen=True)
class _RowReader:
    contract: Contract
    fields: tuple[tuple[str, Reader], ...]
    accepted: frozenset[str]
    codes: tuple[tuple[str, Mapping[str, int] | int | None], ...]


_readers: dict[int, _RowReader] = {}


def canonical_row(row: Mapping[str, object], contract: Contract) -> CanonicalRow:
    """Judge ``row`` by ``contract`` and bring it into canonical form; takes some ten microseconds.

    The id and target columns may be in the row and are not looked at.
    """
    reader = _row_reader(contract)
    values: dict[str, Value] = {}
    findings: list[tuple[str, Finding]] = []
    get = row.get
    for name, read in reader.fields:
        value, finding = read(get(name))
        values[name] = value
        if finding is not None:
            findings.append((name, finding))
    problems = [RowProblem(name, row.get(name), *f.words) for name, f in findings if f.is_problem]
    warnings = [
        RowWarning(name, row.get(name), *f.words) for name, f in findings if not f.is_problem
    ]
    if not row.keys() <= reader.accepted:
        problems += _unknown_fields(row, reader)
    if contract.rules and not problems:
        warnings += _broken_rules(values, contract)
    return CanonicalRow(values, tuple(problems), tuple(warnings))


def row_columns(values: Mapping[str, Value], contract: Contract) -> Columns:
    """Canonical ``values`` as columns of one row, derived features included.

    Args:
        values: as in ``CanonicalRow.values``.
        contract: the contract that the values obey.

    Returns:
        Per feature an array of shape (1,): float64, or int32 codes (``fedchurn.contract.columns``).
    """
    columns: Columns = {}
    for name, codes in _row_reader(contract).codes:
        value = values.get(name)
        if codes is None:
            columns[name] = np.array([np.nan if value is None else value], dtype=np.float64)
        else:
            columns[name] = np.array([_code(value, codes)], dtype=np.int32)
    return add_derived(columns, contract) if contract.derived else columns


def _code(value: Value, codes: Mapping[str, int] | int) -> int:
    if value is None:
        return MISSING
    if isinstance(codes, int):
        return text_code(str(value), codes)
    return codes.get(str(value), UNKNOWN)


def _row_reader(contract: Contract) -> _RowReader:
    """The contract's reader; kept by identity, since hashing a contract takes longer than a row."""
    known = _readers.get(id(contract))
    if known is not None and known.contract is contract:
        return known
    if len(_readers) >= _MAX_READERS:
        _readers.clear()
    reader = _make_reader(contract)
    _readers[id(contract)] = reader
    return reader


def _make_reader(contract: Contract) -> _RowReader:
    others = [contract.target.column, *([contract.id.column] if contract.id else [])]
    codes: list[tuple[str, Mapping[str, int] | int | None]] = []
    for name, column in contract.columns.items():
        if column.is_number:
            codes.append((name, None))
        elif column.kind == "text":
            codes.append((name, column.buckets))
        else:
            codes.append((name, {label: i for i, label in enumerate(column.categories or ())}))
    return _RowReader(
        contract=contract,
        fields=tuple((name, field_reader(name, c)) for name, c in contract.columns.items()),
        accepted=frozenset([*contract.columns, *others]),
        codes=tuple(codes),
    )


def known_fields(contract: Contract) -> list[str]:
    """Names that a field may have meant: the id and the columns, in their order."""
    return [*([contract.id.column] if contract.id else []), *contract.columns]


def _unknown_fields(row: Mapping[str, object], reader: _RowReader) -> list[RowProblem]:
    contract = reader.contract
    accepted = known_fields(contract)
    limit = ", ".join(accepted)
    found = []
    for name in row:
        if name not in reader.accepted:
            near = nearest(str(name), accepted)
            message = f"{name!r} is not a field of contract {contract.contract!r}; {near}"
            found.append(RowProblem(str(name), row[name], limit, message, "unknown_field"))
    return found


def _broken_rules(values: dict[str, Value], contract: Contract) -> list[RowWarning]:
    return [
        RowWarning(rule.id, None, "", rule.description or f"rule {rule.id} is broken", "cross_rule")
        for rule in contract.rules
        if not rule_holds(rule, values)
    ]
