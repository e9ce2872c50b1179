"""What to do about a customer, from the contract: per driver and per risk band."""

from __future__ import annotations

from collections.abc import Iterator

from fedchurn.contract.schema import Contract
from fedchurn.serving.explanation import Contribution, Explanation

MIN_CONTRIBUTION = 0.03  # added probability from which a field is a driver to act on
MAX_DRIVERS = 3


class Advisor:
    """Recommendations of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def recommend(self, probability: float, explanation: Explanation | None) -> tuple[str, ...]:
        """What to do at a probability (0-1), the strongest drivers' advice first.

        A driver is a field that adds at least ``MIN_CONTRIBUTION``. Sensitive fields are shown in
        explanations but are nothing to act on, nor are values that are not known.
        """
        drivers = self._drivers(explanation) if explanation else ()
        return tuple(dict.fromkeys([*drivers, *self._band(probability)]))

    def _drivers(self, explanation: Explanation) -> list[str]:
        advice = self._contract.driver_recommendations
        pushing = (c.field for c in explanation.contributions if self._can_be_acted_on(c))
        return list(dict.fromkeys(advice[name] for name in pushing if name in advice))[:MAX_DRIVERS]

    def _can_be_acted_on(self, contribution: Contribution) -> bool:
        column = self._contract.columns[contribution.field]
        return (
            contribution.contribution >= MIN_CONTRIBUTION
            and contribution.value is not None
            and not column.sensitive
        )

    def _band(self, probability: float) -> Iterator[str]:
        for band in self._contract.risk_bands:
            if band.below is None or probability < band.below:
                yield from band.recommendations
                return
