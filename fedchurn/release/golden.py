"""Golden rows: invented customers with the answers that the release gave when it was written.

Whoever loads a release recomputes them; another answer means that code, weights or encoder are not
those that were judged. The rows are drawn from the contract, never from a client: a release travels
to places where no client's row may go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Column, Contract
from fedchurn.errors import IntegrityError
from fedchurn.release.canonical import CanonicalRow, CanonicalValue

if TYPE_CHECKING:
    from fedchurn.release.scorer import Scorer

TOLERANCE = 1e-6  # float32 sums in another order differ by some 1e-7
_NEXT = "keep the previous release; rebuild this one with the code that serves it"


@dataclass(frozen=True)
class GoldenRows:
    """Rows and the probabilities expected for them.

    Attributes:
        rows: n canonical rows: numbers, labels and None by contract column.
        probabilities: n expected churn probabilities of the model (0-1).
        fallback_probabilities: the same of the fallback model; empty without one.
    """

    rows: tuple[CanonicalRow, ...]
    probabilities: tuple[float, ...]
    fallback_probabilities: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; ``from_dict`` reads it."""
        return {
            "rows": [dict(row) for row in self.rows],
            "probabilities": list(self.probabilities),
            "fallback_probabilities": list(self.fallback_probabilities),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> GoldenRows:
        """The record behind ``to_dict``."""
        return cls(
            rows=tuple(stored["rows"]),
            probabilities=tuple(float(p) for p in stored["probabilities"]),
            fallback_probabilities=tuple(float(p) for p in stored["fallback_probabilities"]),
        )


def choose_golden_rows(
    contract: Contract, *, seed: int, num_rows: int = 32
) -> tuple[CanonicalRow, ...]:
    """Invent rows, valid column by column, that reach every corner of the encoder.

    Numbers take evenly spaced levels over their usual range, both ends included; categories take
    every label in turn; a nullable column is missing in one row of eight. Each column is shuffled
    by itself (a Latin hypercube), so swapping two columns changes answers. Equal seed, equal rows.

    Args:
        contract: what to draw from.
        seed: of the shuffles.
        num_rows: at least 2; raised to the largest number of labels of a category.
    """
    labels = [len(column.categories or ()) for column in contract.columns.values()]
    wanted = max([2, num_rows, *labels])
    generator = np.random.default_rng(seed)
    drawn = {n: _draw(c, wanted, generator) for n, c in contract.columns.items()}
    return tuple({name: values[i] for name, values in drawn.items()} for i in range(wanted))


def check_golden(
    golden: GoldenRows, model: Scorer, fallback: Scorer | None = None, *, where: str = ""
) -> float:
    """Recompute the golden rows with numpy.

    Returns:
        the largest difference of a probability (0-1).

    Raises:
        IntegrityError: a difference is above ``TOLERANCE``; names the worst row and its difference.
    """
    worst = _compare("model", golden.rows, golden.probabilities, model, where)
    if fallback is None:
        return worst
    expected = golden.fallback_probabilities
    return max(worst, _compare("fallback model", golden.rows, expected, fallback, where))


def differences(
    found: Sequence[float] | NDArray[np.float64], expected: Sequence[float]
) -> NDArray[np.float64]:
    """How far n probabilities are from those expected, float64 (n,); infinite for what is NaN."""
    difference = np.abs(np.asarray(found, dtype=np.float64) - np.asarray(expected))
    return np.where(np.isnan(difference), np.inf, difference)


def _compare(
    name: str,
    rows: tuple[CanonicalRow, ...],
    expected: Sequence[float],
    scorer: Scorer,
    where: str,
) -> float:
    if not rows or len(rows) != len(expected):
        raise IntegrityError(
            f"golden.json has {len(rows)} rows and {len(expected)} answers of the {name}",
            where=where,
            next_step=_NEXT,
        )
    found = scorer.probabilities(rows)
    difference = differences(found, expected)
    worst = int(np.argmax(difference))
    if difference[worst] > TOLERANCE:
        raise IntegrityError(
            f"golden row {worst + 1} of {len(rows)}: the {name} answers {found[worst]:.8f}, not "
            f"{expected[worst]:.8f} (difference {difference[worst]:.3g}, allowed {TOLERANCE:g})",
            where=where,
            next_step=_NEXT,
        )
    return float(difference[worst])


def _draw(column: Column, wanted: int, generator: np.random.Generator) -> list[CanonicalValue]:
    values = _levels(column, wanted)
    shuffled = [values[i] for i in generator.permutation(wanted)]
    if column.nullable:
        for position in _some(wanted, generator):
            shuffled[position] = None
    return shuffled


def _some(wanted: int, generator: np.random.Generator) -> NDArray[np.int64]:
    return generator.permutation(wanted)[: max(1, wanted // 8)]


def _levels(column: Column, wanted: int) -> list[CanonicalValue]:
    if column.is_number:
        low, high = column.usual or column.hard or (0.0, 100.0)
        decimals = 0 if column.kind == "integer" else (column.decimals or 3)
        levels = np.clip(np.round(np.linspace(low, high, wanted), decimals), low, high)
        return [int(v) if column.kind == "integer" else float(v) for v in levels]
    labels = column.categories or tuple(f"text {i}" for i in range(wanted))
    return [labels[i % len(labels)] for i in range(wanted)]
