"""The first half of a round: ask clients to train, check their answers, combine them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fedchurn.federation.algorithms.algorithm import Algorithm
from fedchurn.federation.exchange import (
    NOT_CONNECTED,
    ONE_SUM,
    Exchange,
    Reply,
    Request,
    num_bytes,
)
from fedchurn.federation.secure.cost import SecureCost, cost_of
from fedchurn.federation.training.audit import answer_problem, remarks_of, sent_updates, suspects
from fedchurn.federation.training.checks import NOBODY, Accepted, RoundPolicy, accept
from fedchurn.federation.training.state import RoundRecord, RoundState

MANY_CLIENTS = 100
"""Where more are asked, records keep no figures per client, and an exchange may give sums alone."""

Clock = Callable[[], float]
"""Seconds, monotonic."""


def train_round(
    state: RoundState,
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    *,
    clock: Clock = time.monotonic,
) -> tuple[RoundState, RoundRecord]:
    """The training half of a round, without evaluation; see ``play_round``."""
    policy = policy.without(state.excluded)
    request = algorithm.request(state)
    cohort = algorithm.cohort(state, exchange.clients())
    if are_many(cohort, exchange):
        request = replace(request, config={**request.config, ONE_SUM: True})
    ticks = [clock()]
    nobody = cohort is not None and not cohort  # independent draws may draw none
    replies = () if nobody else exchange.ask(request, cohort, policy.deadline_seconds)
    ticks.append(clock())
    accepted = NOBODY if nobody else _accepted(algorithm, state, replies, policy)
    found = suspects(algorithm, state, accepted.replies, exchange, policy)
    if found:
        accepted = _accepted(algorithm, state, replies, policy.without(found))
    candidates, memory = algorithm.step(state, accepted.replies)
    ticks.append(clock())
    moved = replace(
        state,
        round_num=state.round_num + 1,
        candidates=candidates,
        memory=memory,
        excluded={**state.excluded, **found},
        # What was measured with the help of such a client is not compared with what follows.
        best=None if found else state.best,
        sent={**state.sent, **sent_updates(algorithm, replies)}
        if len(replies) <= MANY_CLIENTS
        else {},
    )
    record = _trained(state, algorithm, request, replies, accepted)
    record = replace(record, excluded=found)
    seconds = {"train": ticks[1] - ticks[0], "combine": ticks[2] - ticks[1]}
    record = replace(record, seconds=seconds, cohort=cohort or ())
    return moved, _with_protocol(record, None if nobody else cost_of(exchange))


def _accepted(
    algorithm: Algorithm, state: RoundState, replies: Sequence[Reply], policy: RoundPolicy
) -> Accepted:
    return accept(
        replies,
        policy,
        what=f"round {state.round_num + 1}, training",
        norm=lambda reply: algorithm.update_norm(state, reply),
        problem=lambda reply: (
            algorithm.problem(state, reply) or answer_problem(algorithm, state, reply, policy)
        ),
    )


def are_many(asked: Sequence[str] | None, exchange: Exchange) -> bool:
    """Whether so many are asked that an exchange may answer by one sum."""
    return len(exchange.clients() if asked is None else asked) > MANY_CLIENTS


def _trained(
    state: RoundState,
    algorithm: Algorithm,
    request: Request,
    replies: Sequence[Reply],
    accepted: Accepted,
) -> RoundRecord:
    per_client = {r.client: algorithm.client_numbers(state, r) for r in accepted.replies}
    told = remarks_of(algorithm, accepted.replies)
    many = sum(len(reply.clients) for reply in replies) > MANY_CLIENTS
    # Behind one sum every client has an answer of its size.
    up = {client: num_bytes(r.arrays) for r in replies for client in r.clients}
    reached = [c for r in replies if r.error != NOT_CONNECTED for c in r.clients]
    down = {client: request.num_bytes_for(client) for client in reached}
    return RoundRecord(
        round_num=request.round_num,
        strategy=algorithm.strategy,
        participants=tuple(c for c in accepted.clients if c not in told.left_out),
        absences=accepted.absences,
        quarantined=accepted.quarantined,
        train=_weighted_means(per_client),
        per_client={} if many else per_client,
        bytes_up=sum(up.values()),
        bytes_down=sum(down.values()),
        client_bytes_up={} if many else up,
        client_bytes_down={} if many else down,
        notes={**algorithm.notes(state), **told.notes},
        set_aside={**told.left_out, **told.changed},
    )


def _with_protocol(record: RoundRecord, cost: SecureCost | None) -> RoundRecord:
    """The record with the bytes of all messages, where one question takes several."""
    if cost is None:
        return record
    many = len(cost.bytes_up) > MANY_CLIENTS
    return replace(
        record,
        bytes_up=sum(cost.bytes_up.values()),
        bytes_down=sum(cost.bytes_down.values()),
        client_bytes_up={} if many else dict(cost.bytes_up),
        client_bytes_down={} if many else dict(cost.bytes_down),
        seconds={**record.seconds, **cost.seconds},
    )


def _weighted_means(per_client: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    total = sum(n["num_rows"] for n in per_client.values())
    names = {name for numbers in per_client.values() for name in numbers} - {"num_rows"}
    means = {
        name: sum(n["num_rows"] * n[name] for n in per_client.values()) / max(total, 1.0)
        for name in sorted(names)
    }
    return {"num_rows": total, **means}
