"""Decay across clients: each joins labels with its own predictions and tells sums, never rows.

As with held-out scores, a cell of the score histogram may stand for a single customer; below a
client's own smallest number of labels nothing leaves at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fedchurn.drift.performance.label_sums import LabelSums
from fedchurn.errors import DataError, FederationError
from fedchurn.federation.exchange import Exchange, Reply, Request
from fedchurn.federation.training.checks import RoundPolicy, accept

TASK = "labels"


class LabelAnswers:
    """A client that answers about its labels.

    Args:
        client: its name.
        sums: gives its sums over customers with a mature label, each once, as a release (by id)
            answered them.
        min_labels: fewest customers that it speaks about.
    """

    def __init__(
        self, client: str, sums: Callable[[str], LabelSums], *, min_labels: int = 30
    ) -> None:
        self._client = client
        self._sums = sums
        self._min_labels = min_labels

    def handle(self, request: Request) -> Reply:
        """The sums.

        Raises:
            FederationError: another question, or too few labels.
        """
        where = f"client {self._client}"
        if request.task != TASK:
            raise FederationError(f"asked for {request.task!r}, it knows {TASK!r}", where=where)
        sums = self._sums(str(request.config["release"]))
        if sums.num_rows < self._min_labels:
            raise FederationError(
                f"fewer than {self._min_labels} customers have a mature label",
                where=where,
                next_step="ask again when more labels are mature",
            )
        return Reply(self._client, sums.to_arrays())


def ask_about_labels(
    exchange: Exchange, policy: RoundPolicy, release_id: str
) -> tuple[dict[str, LabelSums], dict[str, str]]:
    """Sums by client for ``fedchurn.drift.performance.decay.check_decay``, and why some are absent.

    Args:
        exchange: reaches the clients.
        policy: quorum and deadline; clients whose labels are few are absent.
        release_id: whose answers are asked about.

    Raises:
        QuorumError: too few clients gave a usable answer.
    """
    request = Request(TASK, 0, {}, {"release": release_id})
    replies = exchange.ask(request, timeout_seconds=policy.deadline_seconds)
    found: dict[str, LabelSums] = {}
    checked = []
    for reply in replies:
        try:
            if not reply.error:
                found[reply.client] = LabelSums.from_arrays(reply.arrays)
            checked.append(reply)
        except DataError as error:
            checked.append(replace(reply, error=error.what))
    accepted = accept(checked, policy, what="question about labels")
    kept = {reply.client: found[reply.client] for reply in accepted.replies}
    return kept, {**accepted.absences, **accepted.quarantined}
