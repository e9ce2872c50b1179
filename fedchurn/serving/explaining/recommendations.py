"""What to do about a customer, from the contract: per driver and per risk band."""

from __future__ import annotations

from collections.abc import Iterator

from fedchurn.contract.rules import Condition
from fedchurn.contract.schema import Contract
from fedchurn.serving.explaining.explanation import Contribution, Explanation

MIN_CONTRIBUTION = 0.03  # added probability from which a field is a driver to act on
MAX_DRIVERS = 3


class Advisor:
    """Recommendations of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._risky_sides = _risky_sides(contract)

    def recommend(self, probability: float, explanation: Explanation | None) -> tuple[str, ...]:
        """What to do at a probability (0-1), the strongest drivers' advice first.

        A driver is a field that adds at least ``MIN_CONTRIBUTION``. Sensitive fields are shown in
        explanations but are nothing to act on, nor are values that are not known, nor numbers on
        the side where the contract's fallback rules see less risk: advice for new customers is not
        for those who stayed longest, whatever the model found about them.
        """
        drivers = self._drivers(explanation) if explanation else ()
        return tuple(dict.fromkeys([*drivers, *self._band(probability)]))

    def _drivers(self, explanation: Explanation) -> list[str]:
        advice = self._contract.driver_recommendations
        pushing = (c.field for c in explanation.contributions if self._can_be_acted_on(c))
        return list(dict.fromkeys(advice[name] for name in pushing if name in advice))[:MAX_DRIVERS]

    def _can_be_acted_on(self, contribution: Contribution) -> bool:
        return (
            contribution.contribution >= MIN_CONTRIBUTION
            and contribution.value is not None
            and not self._contract.columns[contribution.field].sensitive
            and self._is_on_a_risky_side(contribution)
        )

    def _is_on_a_risky_side(self, contribution: Contribution) -> bool:
        sides = self._risky_sides.get(contribution.field)
        value, typical = contribution.value, contribution.reference
        if not sides or not isinstance(value, int | float) or not isinstance(typical, int | float):
            return True
        return (1 if value > typical else -1) in sides

    def _band(self, probability: float) -> Iterator[str]:
        for band in self._contract.risk_bands:
            if band.below is None or probability < band.below:
                yield from band.recommendations
                return


def _risky_sides(contract: Contract) -> dict[str, set[int]]:
    """Per number column on which side (-1 low, 1 high) fallback rules of one condition see risk."""
    sides: dict[str, set[int]] = {}
    for rule in contract.fallback.rules if contract.fallback else ():
        side = _side(rule.when[0]) if len(rule.when) == 1 else 0
        if side:
            risky = side if rule.add > 0 else -side
            sides.setdefault(rule.when[0].column, set()).add(risky)
    return sides


def _side(condition: Condition) -> int:
    if condition.at_least is not None or condition.above is not None:
        return 1
    return -1 if condition.at_most is not None or condition.below is not None else 0
