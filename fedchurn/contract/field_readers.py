"""Readers of single fields of a row: a value in, its canonical form and a finding out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedchurn.contract.cells import as_flag, whole
from fedchurn.contract.schema import Column
from fedchurn.errors import nearest

_MAX_SHOWN = 60


@dataclass(frozen=True)
class Finding:
    """What is to be said about a field; ``words`` are its limit, message and rule."""

    is_problem: bool
    words: tuple[str, str, str]


Outcome = tuple[float | str | None, Finding | None]
Reader = Callable[[Any], Outcome]


def field_reader(name: str, column: Column) -> Reader:
    """The reader of one column; it never raises, whatever it is given."""
    if column.is_number:
        return _number_reader(name, column)
    if column.kind == "text":
        return _text_reader(name, column)
    return _label_reader(name, column)


def _number_reader(name: str, column: Column) -> Reader:
    hard_low, hard_high = column.hard or (-math.inf, math.inf)
    low, high = column.usual or (hard_low, hard_high)
    whole = column.kind == "integer"
    tokens = _null_tokens(column)

    def read(value: Any) -> Outcome:
        if type(value) is not float and not (type(value) is int and value.bit_length() < 64):
            if value is None or (isinstance(value, str) and value.strip() in tokens):
                return _absent(name, column)
            value = _as_number(value)
        if value is None or not math.isfinite(value):
            return None, _not_a_number(name, column)
        if not hard_low <= value <= hard_high:
            return None, _outside(name, column, value)
        if whole and value != int(value):
            return None, _problem(f"{name} must be a whole number, not {value}", "", "not_whole")
        if not low <= value <= high:
            return float(value), _unusual(name, column, value)
        return float(value), None

    return read


def _as_number(value: Any) -> float | None:
    """A number of another type or in text (CSV rows); None if it is none, or a truth value."""
    if isinstance(value, str):
        usable = "_" not in value
    else:
        usable = hasattr(value, "__float__") and not type(value).__name__.startswith("bool")
    try:
        number = float(value) if usable else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _label_reader(name: str, column: Column) -> Reader:
    labels = column.categories or ()
    known: dict[Any, str] = {label: label for label in labels} | dict(column.aliases)
    if column.integer_categories:
        known |= {int(label): label for label in labels if str(int(label)) == label}
    tokens = _null_tokens(column)

    def read(value: Any) -> Outcome:
        if type(value) is str or type(value) is int:  # nearly always, and the label is known
            label = known.get(value)
            if label is not None:
                return label, None
        if value is None:
            return _absent(name, column)
        if type(value) is bool:
            return _unlisted(str(value))
        if type(value) is not str and not _is_plain(value):
            return None, _not_a_label(name, column)
        label = known.get(value)
        if label is not None:
            return label, None
        return _unlisted(whole(str(value).strip()))

    def _unlisted(text: str) -> Outcome:
        if text in tokens:
            return _absent(name, column)
        label = known.get(as_flag(text, labels)) or known.get(text)
        if label is not None:
            return label, None
        return text, _unknown_label(name, text, labels)

    return read


def _is_plain(value: Any) -> bool:
    """Whether a value can be a label: text or a finite number, no container."""
    if isinstance(value, str):
        return True
    return not isinstance(value, list | dict | tuple | set) and _as_number(value) is not None


def _text_reader(name: str, column: Column) -> Reader:
    tokens = _null_tokens(column)

    def read(value: Any) -> Outcome:
        if value is None:
            return _absent(name, column)
        if type(value) is not str and not _is_plain(value):
            return None, _problem(f"{name} must be text", "text", "not_a_label")
        text = whole(str(value).strip())
        if text in tokens:
            return _absent(name, column)
        return column.aliases.get(text, text), None

    return read


def _null_tokens(column: Column) -> frozenset[str]:
    return frozenset(["", *(token.strip() for token in column.null_tokens)])


def _absent(name: str, column: Column) -> Outcome:
    if column.nullable:
        return None, None
    return None, _problem(f"{name} is required", _accepted(column), "missing")


def _problem(message: str, limit: str, rule: str) -> Finding:
    return Finding(True, (limit, message, rule))


def _not_a_number(name: str, column: Column) -> Finding:
    limit = _accepted(column)
    return _problem(f"{name} must be a number; accepted: {limit}", limit, "not_a_number")


def _outside(name: str, column: Column, value: float) -> Finding:
    limit = _accepted(column)
    message = f"{name} is {value:.10g}, which is impossible; accepted: {limit}"
    return _problem(message, limit, "hard_limit")


def _unusual(name: str, column: Column, value: float) -> Finding:
    low, high = column.usual or (math.nan, math.nan)
    limit = _with_unit(f"{low:.10g} to {high:.10g}", column)
    message = f"{name} is {value:.10g}, outside the usual {limit}"
    return Finding(False, (limit, message, "usual_range"))


def _not_a_label(name: str, column: Column) -> Finding:
    limit = _accepted(column)
    return _problem(f"{name} must be one of: {limit}", limit, "not_a_label")


def _unknown_label(name: str, text: str, labels: tuple[str, ...]) -> Finding:
    shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
    message = f"{name} is {shown!r}, which was never seen; {nearest(shown, labels)}"
    return Finding(False, (", ".join(labels), message, "unknown_category"))


def _accepted(column: Column) -> str:
    """What a column accepts, in words: ``0 to 240 months`` or its labels."""
    if column.categories:
        return ", ".join(column.categories)
    if not column.is_number:
        return "text"
    if column.hard is None:
        return _with_unit("any number", column)
    return _with_unit(f"{column.hard[0]:.10g} to {column.hard[1]:.10g}", column)


def _with_unit(text: str, column: Column) -> str:
    return f"{text} {column.unit}" if column.unit else text
