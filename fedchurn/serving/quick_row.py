"""Plain rows scored in a few microseconds."""

from __future__ import annotations

from collections.abc import Mapping

from fedchurn.contract.conditions import Value
from fedchurn.release.scorer import Scorer


class QuickScorer:
    """Scores rows that need no second look; all others are somebody else's business."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def score(self, row: Mapping[str, object]) -> tuple[float, tuple[Value, ...]] | None:
        """Churn probability (0-1) and canonical values in contract order, or None."""
        return None
