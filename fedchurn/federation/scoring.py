"""Asks clients to score models on their own rows; what comes back are sums that add up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedchurn.evaluation.sums import ScoreSums
from fedchurn.federation.checks import RoundPolicy, accept
from fedchurn.federation.exchange import ONE_SUM, Exchange, Request
from fedchurn.federation.model_messages import of_candidate, weights_to_arrays
from fedchurn.learning.spec import ModelSpec, Weights


@dataclass(frozen=True)
class Evaluated:
    """Score sums per candidate and client, and why some clients are not among them.

    Attributes:
        sums: under ``TOGETHER`` where only the sum over clients is known.
        absences: reason per client that is not among them.
        clients: whose rows were scored, sorted.
    """

    sums: tuple[dict[str, ScoreSums], ...]
    absences: Mapping[str, str]
    clients: tuple[str, ...] = ()


def evaluate(
    exchange: Exchange,
    policy: RoundPolicy,
    spec: ModelSpec,
    candidates: Sequence[Weights],
    encoder_json: str,
    split: str,
    *,
    round_num: int = 0,
    clients: Sequence[str] | None = None,
    one_sum: bool = False,
) -> Evaluated:
    """Score sums per candidate and client on one split.

    Args:
        exchange: reaches the clients.
        policy: quorum and deadline.
        spec: shape of the candidates.
        candidates: models to evaluate.
        encoder_json: the encoder.
        split: ``train``, ``validation`` or ``test``.
        round_num: the round that asks.
        clients: who is asked; all by default.
        one_sum: a sum over the clients will do, where the exchange can make it.

    Raises:
        QuorumError: too few clients answered.
    """
    request = Request(
        task="evaluate",
        round_num=round_num,
        arrays=weights_to_arrays(spec, candidates),
        config={
            "encoder": encoder_json,
            "spec": json.dumps(spec.to_dict()),
            "split": split,
            "num_candidates": len(candidates),
            **({ONE_SUM: True} if one_sum else {}),
        },
    )
    replies = exchange.ask(request, clients, timeout_seconds=policy.deadline_seconds)
    accepted = accept(replies, policy, what=f"round {round_num}, evaluation on {split} rows")
    sums = tuple(
        {
            reply.client: ScoreSums.from_arrays(of_candidate(reply.arrays, number))
            for reply in accepted.replies
        }
        for number in range(len(candidates))
    )
    return Evaluated(sums, {**accepted.absences, **accepted.quarantined}, accepted.clients)
