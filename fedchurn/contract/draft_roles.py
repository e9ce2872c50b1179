"""Which column of an unknown table is the target, the id, or of no use."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.cells import whole
from fedchurn.contract.draft_cells import Cells
from fedchurn.contract.draft_columns import is_category, words_of
from fedchurn.errors import ContractError, nearest

POSITIVE_WORDS = frozenset(
    {
        "1",
        "yes",
        "y",
        "true",
        "t",
        "churn",
        "churned",
        "churner",
        "exited",
        "left",
        "lost",
        "gone",
        "leaver",
        "cancelled",
        "canceled",
        "closed",
        "inactive",
        "attrited customer",
    }
)
NEGATIVE_WORDS = frozenset(
    {
        "0",
        "no",
        "n",
        "false",
        "f",
        "stay",
        "stayed",
        "retained",
        "active",
        "current",
        "existing",
        "kept",
        "loyal",
        "existing customer",
        "not churned",
        "no churn",
    }
)

_ID_WORDS = frozenset({"id", "uuid", "guid", "key"})
_COUNTER_WORDS = frozenset({"row", "number", "nr", "no", "index", "unnamed", "record", "account"})
_NEARLY_UNIQUE = 0.9
_FEW_ROWS = 30


def target_labels(target: str, cells: Cells, positive: str | None, where: str) -> tuple[str, str]:
    """Positive and negative label of column ``target``.

    Raises:
        ContractError: it does not hold two values, or never ``positive``.
    """
    found = list(cells.counts)
    if len(found) != 2:
        some = ", ".join(repr(v) for v in sorted(found)[:8]) + (", ..." if len(found) > 8 else "")
        raise ContractError(
            f"target {target!r} holds {len(found)} values, not two: {some or 'none'}",
            where=where,
            next_step="name a column with two values, or merge and drop values in the table first",
        )
    chosen = _positive_of(cells.counts) if positive is None else whole(str(positive).strip())
    if chosen not in found:
        raise ContractError(
            f"target {target!r} never holds {positive!r}; {nearest(chosen, found)}",
            where=where,
            next_step="name one of the two values as positive",
        )
    return chosen, next(label for label in found if label != chosen)


def _positive_of(counts: dict[str, int]) -> str:
    churn = [label for label in counts if label.lower() in POSITIVE_WORDS]
    stay = [label for label in counts if label.lower() in NEGATIVE_WORDS]
    if len(churn) == 1:
        return churn[0]
    if len(stay) == 1:
        return next(label for label in counts if label != stay[0])
    return min(sorted(counts, reverse=True), key=lambda label: counts[label])


def target_values(cells: Cells, labels: tuple[str, str]) -> NDArray[np.float64]:
    """1 for the first label, 0 for the second, NaN for missing; n rows."""
    return np.where(cells.holds(labels[0]), 1.0, np.where(cells.holds(labels[1]), 0.0, np.nan))


def is_unique(cells: Cells) -> bool:
    """Whether every row holds a value of its own."""
    return not cells.missing.any() and len(cells.labels) == len(cells.codes)


def find_id(cells: dict[str, Cells]) -> str | None:
    """The unique column that looks most like a name of customers; None if there is none."""
    points = {name: _id_points(name, c) for name, c in cells.items() if not c.is_date}
    best = max(points, key=lambda name: points[name], default=None)
    return best if best is not None and points[best] > 0 else None


def _id_points(name: str, cells: Cells) -> int:
    words = set(words_of(name).lower().split())
    has_word = bool(words & _ID_WORDS) or name.lower().endswith("id")
    if not is_unique(cells):
        repeated = has_word and len(cells.labels) > max(50, len(cells.codes) / 5)
        return 1 if repeated and (cells.is_whole or not cells.is_number) else 0
    if cells.is_number and not cells.is_whole:
        return 0
    if has_word:
        return 4
    if not cells.is_number:
        return 3 if len(cells.codes) >= _FEW_ROWS and not _has_blanks(cells) else 0
    return 2 if _counts_up(cells) or words & _COUNTER_WORDS else 0


def _has_blanks(cells: Cells) -> bool:
    """Free text and names of people have blanks, identifiers hardly ever."""
    return any(" " in text for text in cells.labels[:200])


def _counts_up(cells: Cells) -> bool:
    span = float(np.nanmax(cells.numbers) - np.nanmin(cells.numbers))
    return len(cells.codes) >= _FEW_ROWS and span == len(cells.codes) - 1


def reason_to_leave_out(name: str, cells: Cells, target: NDArray[np.float64]) -> str:
    """Why a column cannot be a feature; empty if it can."""
    num_rows = sum(cells.counts.values())
    if not cells.labels:
        return "empty"
    if len(cells.labels) == 1 and not cells.missing.any():
        return "constant"
    if cells.is_date:
        return "dates; turn them into a duration, such as days since, to use them"
    if cells.is_whole and is_unique(cells) and _id_points(name, cells) > 0:
        return "counts or names the rows"
    nearly_unique = len(cells.labels) > _NEARLY_UNIQUE * num_rows and num_rows >= _FEW_ROWS
    if not cells.is_number and nearly_unique:
        return "nearly every row has a text of its own"
    if _gives_target_away(cells, target):
        return "gives the target away"
    return ""


def _gives_target_away(cells: Cells, target: NDArray[np.float64]) -> bool:
    """Whether the label, or that it is missing, decides the target in every row."""
    known = ~np.isnan(target)
    if min(target[known].sum(), (1 - target[known]).sum()) < _FEW_ROWS:
        return False
    missing = cells.missing[known]
    if missing.any() and np.array_equal(missing, target[known] == target[known][missing][0]):
        return True
    if not is_category(cells):
        return False
    codes = np.where(cells.missing, -1, cells.codes)[known]
    rates = pd.Series(target[known]).groupby(codes).mean()
    return bool(rates.isin([0.0, 1.0]).all())
