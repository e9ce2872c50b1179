"""What to do about a customer, from the contract: per risk band and per driver."""

from __future__ import annotations

from fedchurn.contract.schema import Contract
from fedchurn.serving.explanation import Explanation


class Advisor:
    """Recommendations of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def recommend(self, probability: float, explanation: Explanation | None) -> tuple[str, ...]:
        """What to do at a probability (0-1), the strongest drivers' advice first."""
        raise NotImplementedError
