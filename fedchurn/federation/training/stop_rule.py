"""When training ends, and which model it keeps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StopRule:
    """When training ends.

    Attributes:
        num_rounds: rounds at most.
        patience_rounds: rounds without a better validation metric before training stops; None
            plays all rounds.
        metric: validation metric that picks the best round: ``log_loss``, ``brier`` or ``roc_auc``.
        min_gain: gain below which a round does not count as better.
        average_within: candidates whose metric is within this share of the best one's are averaged;
            0 takes the best alone.
        evaluate_every: rounds between evaluations; the last round is always evaluated.
        keep_last: the model that was evaluated last is kept, whatever the metric says.
    """

    num_rounds: int
    patience_rounds: int | None = None
    metric: str = "log_loss"
    min_gain: float = 0.0
    average_within: float = 0.0
    evaluate_every: int = 1
    keep_last: bool = False

    def evaluates(self, round_num: int) -> bool:
        """Whether a round is evaluated."""
        return round_num % self.evaluate_every == 0 or round_num >= self.num_rounds
