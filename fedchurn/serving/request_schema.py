"""JSON Schema (2020-12) of one customer, from the contract.

It says of JSON values what ``canonical_row`` says of them, in both directions where a schema can.
What it leaves out, and its descriptions tell: numbers may also be sent as text, as the cells of a
CSV file are, and text that means "missing" counts as null.
"""

from __future__ import annotations

import sys
from typing import Any

from fedchurn.contract.schema import Column, Contract

Schema = dict[str, Any]

LARGEST = sys.float_info.max
# What Python's ``str.strip`` leaves; ``\S`` of JSON Schema's regular expressions differs from it.
_NOT_BLANK = r"[^\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_ANY_NUMBER: Schema = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}


def customer_schema(contract: Contract) -> Schema:
    """The schema of one customer: every contract column, the id and the target.

    Columns that may not be missing are required. Other names are refused.
    """
    properties = {name: column_schema(column) for name, column in contract.columns.items()}
    return {
        "title": "Customer",
        "description": _about(contract),
        "type": "object",
        "properties": {**_not_looked_at(contract), **properties},
        "required": [name for name, column in contract.columns.items() if not column.nullable],
        "additionalProperties": False,
    }


def column_schema(column: Column) -> Schema:
    """The schema of one column's values."""
    described = {"title": column.label, "description": _described(column)}
    kind = _number if column.is_number else _text if column.kind == "text" else _label
    return {key: value for key, value in described.items() if value} | kind(column)


def _number(column: Column) -> Schema:
    low, high = column.hard or (-LARGEST, LARGEST)
    number = "integer" if column.kind == "integer" else "number"
    schema: Schema = {
        "type": [number, "null"] if column.nullable else number,
        "minimum": _plain(low),
        "maximum": _plain(high),
    }
    if column.usual:
        schema["x-usual-range"] = [_plain(limit) for limit in column.usual]
    if column.unit:
        schema["x-unit"] = column.unit
    return schema


def _text(column: Column) -> Schema:
    return {"anyOf": [_some_text(column), _ANY_NUMBER, *_null(column)]}


def _label(column: Column) -> Schema:
    """Known labels and spellings, and beside them what is served with a warning."""
    labels: list[Any] = [*(column.categories or ()), *column.aliases]
    if column.integer_categories:
        labels = [int(label) for label in column.categories or ()] + labels
    unseen = {
        "description": "A label that was never seen: served, with a warning.",
        "anyOf": [
            _some_text(column),
            _ANY_NUMBER,
            {"type": "boolean"},
        ],
    }
    return {"anyOf": [{"enum": labels}, unseen, *_null(column)]}


def _some_text(column: Column) -> Schema:
    """Text that does not mean "missing", which a column that may not be missing refuses."""
    schema: Schema = {"type": "string"}
    if not column.nullable:
        schema["pattern"] = _NOT_BLANK
        tokens = sorted({token for token in column.null_tokens if token.strip()})
        if tokens:
            schema["not"] = {"enum": tokens}
    return schema


def _null(column: Column) -> list[Schema]:
    return [{"type": "null"}] if column.nullable else []


def _not_looked_at(contract: Contract) -> dict[str, Schema]:
    """The id and the target may be in a row; neither changes the answer."""
    known: dict[str, Schema] = {}
    if contract.id:
        known[contract.id.column] = {
            "description": "Names the customer; comes back in the answer and changes nothing else."
        }
    known[contract.target.column] = {"description": "Not looked at."}
    return known


def _about(contract: Contract) -> str:
    name = f"contract {contract.contract} {contract.version}"
    about = contract.title or "One customer"
    return f"{about} ({name}). Numbers may be sent as text; empty text counts as null."


def _described(column: Column) -> str:
    parts = [column.description or ""]
    if column.unit:
        parts.append(f"In {column.unit}.")
    if column.usual:
        low, high = column.usual
        parts.append(f"Usually {low:.10g} to {high:.10g}; other values are served with a warning.")
    if column.aliases:
        same = ", ".join(f"{alias} is {label}" for alias, label in column.aliases.items())
        parts.append(f"Spellings: {same}.")
    if column.nullable:
        parts.append("May be missing.")
    return " ".join(part for part in parts if part)


def _plain(limit: float) -> int | float:
    return int(limit) if limit == int(limit) and abs(limit) < 2**53 else limit
