"""What is spent of each client, and what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fedchurn.privacy.accountant import epsilon_of
from fedchurn.privacy.ledger import SETTLE, LedgerEntry
from fedchurn.privacy.spending import Spending


@dataclass(frozen=True)
class ClientAccount:
    """One client over all trainings.

    Attributes:
        client: the client's name.
        num_trainings: trainings that spent of it.
        num_open: those that were not settled, which count in full.
        num_rounds: rounds of all of them.
        epsilon: spent, at ``delta``; trainings are composed, not added.
        delta: see there.
        budget_epsilon: what may be spent; None is without limit.
    """

    client: str
    num_trainings: int
    num_open: int
    num_rounds: int
    epsilon: float
    delta: float
    budget_epsilon: float | None

    @property
    def left_epsilon(self) -> float | None:
        """What is left of the budget; None without one."""
        if self.budget_epsilon is None:
            return None
        return max(self.budget_epsilon - self.epsilon, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {**asdict(self), "left_epsilon": self.left_epsilon}


def client_accounts(
    bookings: Sequence[LedgerEntry], delta: float, budget_epsilon: float | None
) -> tuple[ClientAccount, ...]:
    """Accounts of all clients that the ledger knows, by name."""
    clients = sorted({client for booking in bookings for client in booking.num_rounds})
    return tuple(_account(client, bookings, delta, budget_epsilon) for client in clients)


def _account(
    client: str, bookings: Sequence[LedgerEntry], delta: float, budget: float | None
) -> ClientAccount:
    own = [b for b in bookings if b.num_rounds.get(client, 0)]
    history = [b.spending(client) for b in own]
    return ClientAccount(
        client=client,
        num_trainings=len(own),
        num_open=sum(b.action != SETTLE for b in own),
        num_rounds=sum(s.num_rounds for s in history),
        epsilon=epsilon_of(history, delta),
        delta=delta,
        budget_epsilon=budget,
    )


def over_budget(
    histories: Mapping[str, Sequence[Spending]],
    clients: Sequence[str],
    training: Spending,
    delta: float,
    budget_epsilon: float | None,
) -> dict[str, str]:
    """Clients that a training would take above their budget, and why in words."""
    if budget_epsilon is None:
        return {}
    reasons = {}
    for client in clients:
        history = tuple(histories.get(client, ()))
        after = epsilon_of((*history, training), delta)
        if after > budget_epsilon:
            reasons[client] = (
                f"privacy budget: {epsilon_of(history, delta):.2f} of epsilon {budget_epsilon:g}"
                f" is spent, this training would make it {after:.2f} (delta {delta:g})"
            )
    return reasons
