"""The comparison with the champion survives clients whose answers cannot be true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fedchurn.errors import FederationError, QuorumError
from fedchurn.evaluation.sums import score_sums
from fedchurn.federation.exchange import Reply
from fedchurn.federation.model_messages import prefixed
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.loop.promote import COME_BACK, combined, not_scored
from fedchurn.registry.comparison import client_comparison

SOME = RoundPolicy(quorum_fraction=0.6)


def answer(client: str, seed: int) -> Reply:
    generator = np.random.default_rng(seed)
    target = np.arange(60) % 3 == 0
    scores = [generator.uniform(0.1, 0.6, 60) + 0.3 * target for _ in range(2)]
    told = client_comparison(
        target.astype(np.int8), scores[0], scores[1], np.arange(60), client=client
    )
    sums = score_sums(target.astype(np.int8), scores[1])
    return Reply(client, prefixed(sums.to_arrays(), 1), {**told.to_numbers(), "num_rows": 60})


HONEST = [answer("a", 0), answer("b", 1)]


def with_number(name: str, value: float) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, numbers={**reply.numbers, name: value})


def without_loss(reply: Reply) -> Reply:
    totals = np.asarray(reply.arrays["candidate_1.score_totals"]).copy()
    totals[2] = 0
    return replace(reply, arrays={**reply.arrays, "candidate_1.score_totals": totals})


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (lambda reply: replace(reply, numbers={"num_rows": 60}), "cannot be read"),
        (lambda reply: replace(reply, arrays={}), "cannot be read"),
        (with_number("num_positive", float("inf")), "cannot be read"),
        (with_number("num_negative", 1e6), "compared on 20 and 1000000 rows"),
        (with_number("auc_challenger", 40.0), "auc_challenger is 40"),
        (with_number("variance_champion", -1.0), "variance_champion is -1"),
        (with_number("covariance", 3.0), "covariance is 3"),
        (without_loss, "log loss 0"),
    ],
)
def test_an_answer_that_cannot_be_true_is_left_out_with_its_reason(
    lie: Callable[[Reply], Reply], why: str
) -> None:
    replies = [*HONEST, lie(answer("c", 2))]
    assert combined(replies, SOME)[0] == combined(HONEST, SOME)[0]
    with pytest.raises(QuorumError, match=f"c: .*{why}"):
        combined(replies, RoundPolicy())


def test_honest_answers_all_count() -> None:
    replies = [*HONEST, answer("c", 2)]
    comparison, sums = combined(replies, RoundPolicy())
    assert comparison.num_customers == 180
    assert sums.num_rows == 180


def test_a_client_of_one_class_is_not_taken_for_a_liar() -> None:
    target, scores = np.zeros(9, dtype=np.int8), np.full(9, 0.2)
    told = client_comparison(target, scores, scores, np.arange(9), client="c")
    arrays = prefixed(score_sums(target, scores).to_arrays(), 1)
    one_class = Reply("c", arrays, {**told.to_numbers(), "num_rows": 9})
    assert combined([*HONEST, one_class], RoundPolicy())[1].num_rows == 129


def test_an_absent_client_can_come_back_for_the_comparison() -> None:
    absent = not_scored(QuorumError("2 of 3 clients gave a usable answer, 3 are needed (b: away)"))
    assert "(b: away)" in absent.sentence
    assert absent.next_step.startswith(COME_BACK)
    assert COME_BACK not in not_scored(FederationError("no column Tenure")).next_step
