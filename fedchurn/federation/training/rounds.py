"""One federated round, and the loop over rounds.

``play_round`` is a function of the state and the clients' answers; it reads no file and draws no
randomness, and the clock that it is given only measures. ``play_rounds`` is the only loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fedchurn.federation.algorithms.algorithm import Algorithm
from fedchurn.federation.exchange import (
    Exchange,
)
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.judge_half import concluded
from fedchurn.federation.training.state import RoundRecord, RoundState
from fedchurn.federation.training.stop_rule import StopRule
from fedchurn.federation.training.train_half import Clock, train_round

OnRound = Callable[[RoundRecord, RoundState], None]


def play_rounds(
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    on_round: OnRound,
    *,
    state: RoundState | None = None,
    clock: Clock = time.monotonic,
) -> RoundState:
    """Rounds until the stop rule ends them; ``on_round`` sees each record as it is made.

    Args:
        algorithm: what to ask and what to make of it.
        exchange: reaches the clients.
        policy: quorum, deadline and norm limits.
        stop: when to end.
        on_round: called with every record and the state after it, round 0 included.
        state: where an earlier call got to, to go on from there; None starts anew.
        clock: measures the phases.

    Returns:
        The last state, whose ``best`` is the model to keep.

    Raises:
        QuorumError: too few usable answers.
        FederationError: validation rows do not define the metric.
    """
    if state is None:
        state, record = evaluate_start(algorithm, exchange, policy, stop, clock=clock)
        on_round(record, state)
    while state.round_num < stop.num_rounds and not _stale(state, stop):
        state, record = play_round(state, algorithm, exchange, policy, stop, clock=clock)
        on_round(record, state)
    return state


def _stale(state: RoundState, stop: StopRule) -> bool:
    return stop.patience_rounds is not None and state.stale_rounds >= stop.patience_rounds


def evaluate_start(
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    *,
    clock: Clock = time.monotonic,
) -> tuple[RoundState, RoundRecord]:
    """The state before round 1, evaluated: a round that makes things worse is never kept."""
    state, record = algorithm.start(), _nothing_trained(algorithm)
    return concluded(state, algorithm, exchange, policy, stop, record, clock)


def _nothing_trained(algorithm: Algorithm) -> RoundRecord:
    return RoundRecord(0, algorithm.strategy, ())


def play_round(
    state: RoundState,
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    *,
    clock: Clock = time.monotonic,
) -> tuple[RoundState, RoundRecord]:
    """One round: ask, check, combine, evaluate.

    Raises:
        QuorumError: too few usable answers; the state is unchanged.
    """
    moved, record = train_round(state, algorithm, exchange, policy, clock=clock)
    if not stop.evaluates(moved.round_num):
        return moved, record
    return concluded(moved, algorithm, exchange, policy, stop, record, clock)
