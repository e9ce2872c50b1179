"""A request body to one customer, and what is wrong with it to one shape of error."""

from __future__ import annotations

import json
import math
import reprlib
from typing import Any, NoReturn

from fedchurn.contract.customer_rows import RowProblem, RowWarning

_MAX_ECHOED = 200  # characters of a value that are sent back


class UnreadableBody(ValueError):
    """The body is not one JSON object."""


def read_customer(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``; field names and values are not judged here.

    Raises:
        UnreadableBody: no JSON (NaN and infinity are none), no object, or text that is no Unicode.
    """
    try:
        customer = json.loads(body.decode(), parse_float=_finite, parse_constant=_refuse)
        json.dumps(customer, ensure_ascii=False).encode()  # finds halves of surrogate pairs
    except (ValueError, RecursionError) as error:
        raise UnreadableBody(f"the body is not JSON: {error}") from error
    if not isinstance(customer, dict):
        raise UnreadableBody("the body must be one JSON object, not a list or a single value")
    return customer


def finding(found: RowProblem | RowWarning) -> dict[str, Any]:
    """One entry of ``errors`` or ``warnings``."""
    return {**vars(found), "value": _echo(found.value)}


def body_error(error: UnreadableBody) -> dict[str, Any]:
    """The entry of ``errors`` for a body that has no fields to speak of."""
    limit = "one JSON object with a customer's fields"
    return {
        "field": None,
        "value": None,
        "limit": limit,
        "message": str(error),
        "rule": "unreadable_body",
    }


def _echo(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= _MAX_ECHOED else value[:_MAX_ECHOED] + "..."
    return value if value is None or isinstance(value, bool | int | float) else reprlib.repr(value)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not a finite number")
