"""Should this event lead to a retrain? A pure decision with every check in words.

All checks are evaluated, not just the first that fails, so that one skip tells everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fedchurn.retraining.checks import Check, all_checks
from fedchurn.retraining.policy import RetrainPolicy
from fedchurn.retraining.situation import Situation
from fedchurn.retraining.trigger import Source, Trigger


@dataclass(frozen=True)
class RetrainDecision:
    """Outcome of a judgement.

    Attributes:
        outcome: ``retrain`` or ``skip``.
        checks: every check, in the order in which a person would ask.
        trigger_key: the event that it is about.
        release_id: the release in production at that time, "" for none.
    """

    outcome: Literal["retrain", "skip"]
    checks: tuple[Check, ...]
    trigger_key: str
    release_id: str

    @property
    def retrains(self) -> bool:
        return self.outcome == "retrain"

    @property
    def failures(self) -> tuple[Check, ...]:
        """Checks that stood in the way; overridden ones do not."""
        return tuple(c for c in self.checks if not (c.passed or c.overridden))

    def summary(self) -> str:
        """Why, in words: the failed checks, or that none failed."""
        if self.failures:
            return " ".join(check.sentence for check in self.failures)
        forced = [check.name for check in self.checks if check.overridden]
        return f"Forced, in spite of: {', '.join(forced)}." if forced else "All checks passed."

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; ``from_dict`` reads it."""
        return {**asdict(self), "checks": [asdict(check) for check in self.checks]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> RetrainDecision:
        """The decision behind ``to_dict``."""
        return cls(**{**stored, "checks": tuple(Check(**c) for c in stored["checks"])})


def decide(trigger: Trigger, situation: Situation, policy: RetrainPolicy) -> RetrainDecision:
    """Judge a trigger.

    Args:
        trigger: what happened. A manual one with ``force`` in its evidence overrides what the
            policy lets a person override.
        situation: what is known now.
        policy: what to demand.
    """
    checks = tuple(all_checks(trigger, situation, policy))
    if trigger.source is Source.MANUAL and trigger.evidence.get("force") is True:
        checks = tuple(_overridden(check, policy) for check in checks)
    stands = all(check.passed or check.overridden for check in checks)
    return RetrainDecision(
        outcome="retrain" if stands else "skip",
        checks=checks,
        trigger_key=trigger.key,
        release_id=situation.champion_release_id,
    )


def _overridden(check: Check, policy: RetrainPolicy) -> Check:
    may_be = check.name in policy.force_overrides
    return replace(check, overridden=True) if may_be and not check.passed else check
