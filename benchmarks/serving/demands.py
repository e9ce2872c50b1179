"""What is demanded of a figure, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Demand:
    """One figure and its limits; a limit of None is none.

    Attributes:
        what: the figure in words, unit included.
        value: what was measured.
    """

    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its limits; NaN keeps none."""
        high_enough = self.at_least is None or self.value >= self.at_least
        low_enough = self.at_most is None or self.value <= self.at_most
        return high_enough and low_enough

    def __str__(self) -> str:
        limit = f"at most {self.at_most:g}" if self.at_least is None else f">= {self.at_least:g}"
        return f"{'holds ' if self.holds else 'BROKEN'}  {self.what}: {self.value:.4g} ({limit})"
