"""Which replies may be used: quorum, finite numbers, plausible norms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fedchurn.errors import QuorumError
from fedchurn.federation.exchange import Reply


@dataclass(frozen=True)
class RoundPolicy:
    """When a round may count.

    Attributes:
        quorum_fraction: share of all clients (0-1) whose usable replies a round needs.
        deadline_seconds: how long a question waits for answers.
        max_norm_ratio: an update whose norm per row exceeds this many times the median is refused.
        summed: replies are sums over clients, whose own updates are never seen.
    """

    quorum_fraction: float = 1.0
    deadline_seconds: float = 600.0
    max_norm_ratio: float = 50.0
    summed: bool = False


@dataclass(frozen=True)
class Accepted:
    """The replies of one question, sorted into usable ones and the rest."""

    replies: tuple[Reply, ...]
    absences: dict[str, str]
    quarantined: dict[str, str]

    @property
    def clients(self) -> tuple[str, ...]:
        """Whose answers are in the usable replies, sorted."""
        return tuple(sorted(client for reply in self.replies for client in reply.clients))


NOBODY = Accepted((), {}, {})  # nobody was asked, so nobody is missing


def accept(
    replies: Sequence[Reply],
    policy: RoundPolicy,
    *,
    what: str,
    norm: Callable[[Reply], float] | None = None,
    problem: Callable[[Reply], str] | None = None,
    finite: bool = True,
) -> Accepted:
    """Usable replies; see ``RoundPolicy``.

    Args:
        replies: one per client that was asked.
        policy: the limits.
        what: the question in words, for messages, for example ``round 3, training``.
        norm: size of a reply's update per row; None skips the norm check.
        problem: why a reply cannot be used by itself, for example its shape; empty when it can.
        finite: refuse replies that hold NaN or infinity.

    Raises:
        QuorumError: fewer usable replies than the quorum; names every absence and its reason.
    """
    absences = {r.client: r.error for r in replies if r.error}
    answered = [r for r in replies if not r.error]
    quarantined = {r.client: why for r in answered if finite and (why := _not_finite(r))}
    if problem is not None:
        quarantined.update({r.client: why for r in answered if (why := problem(r))})
    usable = [r for r in answered if r.client not in quarantined]
    if norm is not None:
        quarantined.update(_wild_norms(usable, norm, policy.max_norm_ratio))
        usable = [r for r in usable if r.client not in quarantined]
    num_asked, num_usable = _num_clients(replies), _num_clients(usable)
    needed = max(1, int(np.ceil(policy.quorum_fraction * num_asked)))
    if num_usable < needed:
        reasons = {**absences, **quarantined}
        told = "; ".join(f"{client}: {reason}" for client, reason in sorted(reasons.items()))
        raise QuorumError(
            f"{num_usable} of {num_asked} clients gave a usable answer, {needed} are needed"
            f" ({told})",
            where=what,
            next_step="mend the named clients, or lower federation.quorum_fraction",
        )
    return Accepted(tuple(usable), absences, quarantined)


def _num_clients(replies: Sequence[Reply]) -> int:
    return sum(len(reply.clients) for reply in replies)


def _not_finite(reply: Reply) -> str:
    for name, array in reply.arrays.items():
        if np.issubdtype(array.dtype, np.floating) and not np.all(np.isfinite(array)):
            return f"{name} holds NaN or infinity"
    for name, number in reply.numbers.items():
        if not np.isfinite(number):
            return f"{name} is {number}"
    return ""


def _wild_norms(
    replies: Sequence[Reply], norm: Callable[[Reply], float], max_ratio: float
) -> dict[str, str]:
    norms = {r.client: norm(r) for r in replies}
    median = float(np.median(list(norms.values()))) if norms else 0.0
    if median <= 0 or len(norms) < 3:
        return {}
    return {
        client: f"norm {value:.3g} is {value / median:.0f} times the median of all clients"
        for client, value in norms.items()
        if value > max_ratio * median
    }
