"""Which replies may be used: quorum, real and finite numbers, plausible sizes.

Whatever a client sends, the answer is used, or refused with a reason that names the value: nothing
raises because of it but a missed quorum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

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
        max_rows_ratio: a client that claims more rows than this many times the median is refused:
            sums and means would be its own.
        audit: look for clients whose answers contradict themselves or most others
            (``newton_audit``); ``models`` also asks clients to score each other's local models.
        rows: per client, rows and churners of training as its statistics told; what it claims later
            must agree.
        excluded: why a client is out, whatever it sends.
    """

    quorum_fraction: float = 1.0
    deadline_seconds: float = 600.0
    max_norm_ratio: float = 50.0
    summed: bool = False
    max_rows_ratio: float = 1000.0
    audit: Literal["off", "sums", "models"] = "sums"
    rows: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)

    def without(self, clients: Mapping[str, str]) -> RoundPolicy:
        """The policy with more clients out."""
        return replace(self, excluded={**self.excluded, **clients}) if clients else self


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
    quarantined = {r.client: why for r in answered if (why := _refusal(r, policy, finite))}
    usable = [r for r in answered if r.client not in quarantined]
    if problem is not None:
        quarantined.update({r.client: why for r in usable if (why := problem(r))})
        usable = [r for r in usable if r.client not in quarantined]
    quarantined.update(_wild_rows(usable, policy.max_rows_ratio))
    usable = [r for r in usable if r.client not in quarantined]
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


def _refusal(reply: Reply, policy: RoundPolicy, finite: bool) -> str:
    """Why a reply is of no use to anybody."""
    if reply.client in policy.excluded:
        return f"out for the rest of the training: {policy.excluded[reply.client]}"
    for name, array in reply.arrays.items():
        if np.asarray(array).dtype.kind not in "fiub":
            return f"{name} holds no real numbers, but {np.asarray(array).dtype}"
        if finite and not np.all(np.isfinite(array)):
            return f"{name} holds NaN or infinity"
    for name, number in reply.numbers.items():
        if not isinstance(number, int | float | np.number) or isinstance(number, complex):
            return f"{name} is no number, but {type(number).__name__}"
        if finite and not np.isfinite(number):
            return f"{name} is {number}"
    return ""


def rows_problem(reply: Reply, policy: RoundPolicy, *, least: bool = False) -> str:
    """Why the rows that a training reply claims are not those of the client's statistics.

    Args:
        reply: with ``num_rows``.
        policy: holds what was claimed.
        least: more rows than those will do, for example training and validation rows together.
    """
    num_rows = float(reply.numbers.get("num_rows", 0.0))
    if not num_rows > 0 or num_rows != int(num_rows):
        return f"trained on {num_rows:g} rows"
    claimed = policy.rows.get(reply.client)
    if reply.members or claimed is None:
        return ""
    if num_rows == claimed[0] or (least and num_rows > claimed[0]):
        return ""
    return f"trained on {num_rows:g} rows, its statistics said {claimed[0]:g}"


def _wild_rows(replies: Sequence[Reply], max_ratio: float) -> dict[str, str]:
    claims = {
        r.client: float(r.numbers["num_rows"])
        for r in replies
        if "num_rows" in r.numbers and not r.members
    }
    return {
        client: f"claims {value:g} rows, {value / median:.0f} times the median of all clients"
        for client, value, median in _beyond(claims, max_ratio)
    }


def _wild_norms(
    replies: Sequence[Reply], norm: Callable[[Reply], float], max_ratio: float
) -> dict[str, str]:
    norms = {r.client: norm(r) for r in replies}
    return {
        client: f"norm {value:.3g} is {value / median:.0f} times the median of all clients"
        for client, value, median in _beyond(norms, max_ratio)
    }


def _beyond(values: Mapping[str, float], max_ratio: float) -> list[tuple[str, float, float]]:
    """Who lies beyond so many times the median, with value and median; three must be there."""
    median = float(np.median(list(values.values()))) if values else 0.0
    if median <= 0 or len(values) < 3:
        return []
    return [(c, value, median) for c, value in values.items() if value > max_ratio * median]
