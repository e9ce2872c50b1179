"""Asks clients to score models on their own rows; what comes back are sums that add up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import DataError
from fedchurn.evaluation.possible_sums import impossibility
from fedchurn.evaluation.sums import ScoreSums
from fedchurn.federation.exchange import ONE_SUM, Exchange, Reply, Request
from fedchurn.federation.model_messages import of_candidate, weights_to_arrays
from fedchurn.federation.training.checks import RoundPolicy, accept
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
    known_rows: Mapping[str, int] | None = None,
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
        known_rows: rows of the split that clients claimed before; another number is refused.

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
    known = dict(known_rows or {})
    if split == "train":
        known |= {client: int(claimed) for client, (claimed, _) in policy.rows.items()}
    read: dict[str, list[ScoreSums]] = {}

    def problem(reply: Reply) -> str:
        try:
            read[reply.client] = _sums_in(reply, len(candidates))
        except DataError as error:
            return error.what
        return _claims_problem(reply, read[reply.client], known)

    what = f"round {round_num}, evaluation on {split} rows"
    accepted = accept(replies, policy, what=what, problem=problem)
    sums = tuple(
        {reply.client: read[reply.client][number] for reply in accepted.replies}
        for number in range(len(candidates))
    )
    return Evaluated(sums, {**accepted.absences, **accepted.quarantined}, accepted.clients)


def _sums_in(reply: Reply, num_candidates: int) -> list[ScoreSums]:
    """Score sums of every candidate.

    Raises:
        DataError: they are missing, or not those of any rows.
    """
    found = []
    for number in range(num_candidates):
        arrays = of_candidate(reply.arrays, number)
        for name, array in arrays.items():
            if not np.array_equal(array, np.trunc(np.clip(array, -_MOST, _MOST))):
                raise DataError(f"{name} holds {_strangest(array)}, which counts nothing")
        found.append(ScoreSums.from_arrays(arrays))
        why = impossibility(found[-1])
        if why:
            raise DataError(why)
    return found


_MOST = 2.0**62  # int64 holds it


def _strangest(array: NDArray[np.generic]) -> str:
    numbers = np.asarray(array, dtype=np.float64).ravel()
    strange = numbers[(np.abs(numbers) > _MOST) | (numbers != np.trunc(numbers))]
    return f"{strange[0]:g}"


def _claims_problem(reply: Reply, sums: Sequence[ScoreSums], known: Mapping[str, int]) -> str:
    """All candidates are scored on the same rows, as many as were claimed before."""
    sizes = {(one.num_rows, one.num_positive) for one in sums}
    if len(sizes) > 1:
        return f"candidates were scored on different rows: {sorted(sizes)}"
    if reply.members or reply.client not in known:
        return ""
    num_rows = sums[0].num_rows
    claimed = known[reply.client]
    return "" if num_rows == claimed else f"scored {num_rows} rows, it said {claimed} before"
