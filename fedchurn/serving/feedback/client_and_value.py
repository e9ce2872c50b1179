"""Of a logged row: which client it belongs to, and what the customer is worth.

Both are kept beside a label, so that performance by client and revenue outlive the log.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Contract

_MISSING = "(missing)"


def client_of(row: Mapping[str, Value], contract: Contract) -> str | None:
    """The client's name as training gives it (``CityTier=1``; ``fedchurn.data.deal``).

    None where the contract has no silo column, or the row was logged without it (masked).
    """
    column = contract.silo_column
    if column is None or column not in row:
        return None
    value = row[column]
    if value is None:
        return f"{column}={_MISSING}"
    return f"{column}={value}" if isinstance(value, str) else f"{column}={value:g}"


def value_of(row: Mapping[str, Value], contract: Contract) -> float | None:
    """The contract's value column, in its unit; None where there is none, or no number in it."""
    value = row.get(contract.value_column or "")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]
