"""Does the challenger deserve production? A pure decision with every reason in words.

All checks are evaluated, not just the first that fails, so that one refusal tells everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fedchurn.errors import PromotionRefused
from fedchurn.registry.checks import compared_with, floors
from fedchurn.registry.comparison import PairedComparison
from fedchurn.registry.policy import ModelEvidence, PromotionPolicy, Reason


@dataclass(frozen=True)
class Decision:
    """Outcome of a judgement.

    Attributes:
        outcome: ``promoted`` or ``refused``.
        reasons: every check, in the order in which a person would ask.
        release_id: the challenger's release.
        champion_release_id: release of the champion it was compared with; None for a first model.
        next_step: what a person can do after a refusal; "" after a promotion.
    """

    outcome: Literal["promoted", "refused"]
    reasons: tuple[Reason, ...]
    release_id: str
    champion_release_id: str | None
    next_step: str = ""

    @property
    def promoted(self) -> bool:
        return self.outcome == "promoted"

    @property
    def is_first(self) -> bool:
        """Whether there was no champion."""
        return self.champion_release_id is None

    @property
    def failures(self) -> tuple[Reason, ...]:
        return tuple(r for r in self.reasons if not r.passed)

    def summary(self) -> str:
        """The failed checks in words, or all of them when none failed."""
        return " ".join(r.sentence for r in self.failures or self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; ``from_dict`` reads it."""
        return {**self.__dict__, "reasons": [dict(r.__dict__) for r in self.reasons]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Decision:
        """The decision behind ``to_dict``."""
        return cls(**{**stored, "reasons": tuple(Reason(**r) for r in stored["reasons"])})

    def refusal(self) -> PromotionRefused:
        """The error that tells a refusal to the caller of a flow."""
        champion = "nothing is in production" if self.is_first else "the champion stays"
        return PromotionRefused(
            f"{self.summary()} So {champion}.",
            where=f"release {self.release_id}",
            next_step=self.next_step,
        )


def decide(
    challenger: ModelEvidence,
    champion: ModelEvidence | None,
    comparison: PairedComparison | None,
    policy: PromotionPolicy,
) -> Decision:
    """Judge a challenger.

    Args:
        challenger: evidence about the new model.
        champion: evidence about the model in production on the same rows; None when there is none.
        comparison: paired comparison of both; without one a champion is never replaced.
        policy: what to demand.
    """
    reasons = [*floors(challenger, policy)]
    if champion is None:
        reasons.append(Reason("champion", True, None, None, "Nothing is in production yet."))
    else:
        reasons += compared_with(challenger, champion, comparison, policy)
    promoted = all(r.passed for r in reasons)
    return Decision(
        outcome="promoted" if promoted else "refused",
        reasons=tuple(reasons),
        release_id=challenger.release_id,
        champion_release_id=champion.release_id if champion else None,
        next_step="" if promoted else _advice({r.check for r in reasons if not r.passed}),
    )


_ADVICE = {
    "accuracy": "look at the data and quality report, add rows or features; if these rows allow no "
    "more, set promotion.min_accuracy to what they do allow",
    "majority": "choose the threshold for another objective, or add features that tell churners",
    "roc_auc": "look at the data and quality report, add rows or features; if these rows allow no "
    "more, set promotion.min_auc to what they do allow",
    "same_model": "nothing is needed: this model is in production already",
    "comparison": "evaluate the champion on the challenger's test rows, then promote again",
    "better": "keep the champion, or train on newer rows or with another recipe",
    "refresh": "keep the champion, and find out what changed in the new rows",
    "not_worse": "keep the champion, or give more test rows so that less is left to noise",
    "clients": "look at those clients' rows, or raise client_margin knowing who pays",
}


def _advice(failed: set[str]) -> str:
    if "same_model" in failed:
        return _ADVICE["same_model"]
    steps = dict.fromkeys(advice for check, advice in _ADVICE.items() if check in failed)
    return "; ".join(steps)
