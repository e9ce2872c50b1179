"""What answers at this moment; the one reference that a reload replaces."""

from __future__ import annotations

from dataclasses import dataclass

from fedchurn.serving.experiment.shares import share_of
from fedchurn.serving.served_release import ServedRelease


@dataclass(frozen=True, eq=False)
class Serving:
    """The releases at work; replaced as a whole, never changed.

    Attributes:
        champion: answers.
        champion_fault: why the champion may not be asked now (a fallback reason), or None.
        challenger: second model of an experiment, or None.
        ab_fraction: share of customers, by hashed id, whom the challenger answers (0-1).
        shadow_fraction: share of answers that the challenger scores too, silently (0-1).
        challenger_fault: why the wished-for challenger is not there, in words, or None.
    """

    champion: ServedRelease
    champion_fault: str | None = None
    challenger: ServedRelease | None = None
    ab_fraction: float = 0.0
    shadow_fraction: float = 0.0
    challenger_fault: str | None = None

    def pick(self, customer_id: str | None) -> ServedRelease:
        """Who answers a customer: always the same one for an id, the champion without an id."""
        challenger = self.challenger
        if challenger is None or not self.ab_fraction or customer_id is None:
            return self.champion
        share = share_of(b"arm", customer_id)
        return challenger if share < self.ab_fraction else self.champion


class Live:
    """Holder of the current ``Serving``; readers take ``state`` once per request."""

    def __init__(self, state: Serving) -> None:
        self.state = state

    def swap(self, state: Serving) -> None:
        """Replace everything that answers, in one step."""
        self.state = state
