"""Money behind churn: at risk, lost, saved. Sums that add up, by client or over all.

- at risk: value x churn probability, over customers whose outcome is still open;
- lost: value of customers who churned;
- saved: value x churn probability, over customers who had been called churners and stayed: the
  loss that was to be expected of them and did not come.

None of this is causal. Saved does not say that anybody did anything: part of those customers would
have stayed anyway, which is what a probability below 1 means. Only a comparison with customers who
were left alone says what an action was worth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter

TICKS_PER_UNIT = 2**20


@dataclass(frozen=True)
class RevenueSums:
    """Sums over customers; ``a + b`` is the sums of both. Money in ticks of 2**-20 of its unit.

    Attributes:
        num_at_risk: customers whose outcome is open.
        num_lost: customers who churned.
        num_saved: customers who were called churners and stayed.
        num_without_value: those of all three whose value is not known (missing or masked).
        at_risk_ticks, lost_ticks, saved_ticks: see the module docstring.
    """

    num_at_risk: int = 0
    num_lost: int = 0
    num_saved: int = 0
    num_without_value: int = 0
    at_risk_ticks: int = 0
    lost_ticks: int = 0
    saved_ticks: int = 0

    def __add__(self, other: RevenueSums) -> RevenueSums:
        mine, theirs = vars(self), vars(other)
        return RevenueSums(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def is_known(self) -> bool:
        """Whether the value of any customer is known, or there is no customer."""
        num_customers = self.num_at_risk + self.num_lost + self.num_saved
        return not num_customers or self.num_without_value < num_customers

    def figures(self, *, has_values: bool = True) -> dict[str, float | int | None]:
        """JSON-ready; money is None where it cannot be known.

        Args:
            has_values: whether the contract says what a customer is worth.
        """
        tellable = has_values and self.is_known
        return {
            "revenue_at_risk": self.at_risk_ticks / TICKS_PER_UNIT if tellable else None,
            "revenue_lost": self.lost_ticks / TICKS_PER_UNIT if tellable else None,
            "revenue_saved": self.saved_ticks / TICKS_PER_UNIT if tellable else None,
            "num_at_risk": self.num_at_risk,
            "num_lost": self.num_lost,
            "num_saved": self.num_saved,
            "num_without_value": self.num_without_value,
        }


def at_risk(value: float | None, probability: float) -> RevenueSums:
    """One customer whose outcome is open."""
    return RevenueSums(
        num_at_risk=1,
        num_without_value=int(value is None),
        at_risk_ticks=_ticks(value, probability),
    )


def outcome(value: float | None, probability: float, *, called: bool, churned: bool) -> RevenueSums:
    """One customer whose outcome is known.

    Args:
        value: what the customer is worth, or None.
        probability: churn probability (0-1) that had been given.
        called: whether the customer had been called a churner.
        churned: what happened.
    """
    if churned:
        return RevenueSums(
            num_lost=1, num_without_value=int(value is None), lost_ticks=_ticks(value, 1.0)
        )
    if not called:
        return RevenueSums()
    return RevenueSums(
        num_saved=1,
        num_without_value=int(value is None),
        saved_ticks=_ticks(value, probability),
    )


def add_revenue(parts: Iterable[RevenueSums]) -> RevenueSums:
    """Sum of any number of sums, of nobody for none."""
    found = list(parts)  # field by field: there is a part for every customer
    return RevenueSums(*(sum(map(attrgetter(one.name), found)) for one in fields(RevenueSums)))


def _ticks(value: float | None, probability: float) -> int:
    return 0 if value is None else round(value * probability * TICKS_PER_UNIT)
