"""Masked sums are the sums of the clients that got to the end, whoever drops out where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.errors import FederationError, QuorumError
from fedchurn.federation.exchange import TOGETHER, Reply, Request
from fedchurn.federation.secure.messages import KEYS, SHARES, STEPS, SUM, UNMASK
from fedchurn.settings_secure import SecureSettings
from tests.unit.federation.clients import Broken
from tests.unit.federation.secure.vectors import (
    ON,
    QUESTION,
    Holder,
    holders,
    secured,
    together,
)

TICK = 2.0**-24


def summed(replies: tuple[Reply, ...]) -> Reply:
    (total,) = (reply for reply in replies if not reply.error)
    return total


def check_sum(total: Reply, clients: Mapping[str, Holder], members: tuple[str, ...]) -> None:
    assert (total.client, total.members, total.clients) == (TOGETHER, members, members)
    vector = sum(clients[name].vector for name in members)
    assert np.abs(total.arrays["vector"] - vector).max() <= len(members) * TICK / 2 + 1e-12
    count = sum(clients[name].count for name in members)
    assert total.arrays["counts"].tolist() == [count, -count]
    assert total.numbers == {"num_rows": count}


def move_on(clients: Mapping[str, Holder]) -> None:
    """Other answers, as the next round's are."""
    for one in clients.values():
        one.vector = one.vector + 1


@given(
    st.integers(3, 7),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4),
    st.integers(-(2**40), 2**40),
)
@settings(max_examples=20)
def test_the_sum_of_any_vectors(num_clients: int, vector: list[float], count: int) -> None:
    clients = {
        str(n): Holder(str(n), [x / (n + 1) for x in vector], count // (n + 1))
        for n in range(num_clients)
    }
    exchange, _ = together(clients)
    check_sum(summed(exchange.ask(QUESTION)), clients, tuple(sorted(clients)))


@given(st.lists(st.sampled_from(["", *STEPS]), min_size=5, max_size=6))
@settings(max_examples=40)
def test_any_pattern_of_drop_outs(gone_at: list[str]) -> None:
    """Who drops out while unmasking is in the sum; who drops out before is not."""
    clients = holders(len(gone_at))
    fate = dict(zip(clients, gone_at, strict=True))
    exchange, _ = together(clients, lambda task, client: fate[client] == task)
    alive = {
        step: [c for c in clients if fate[c] not in STEPS[: n + 1]] for n, step in enumerate(STEPS)
    }
    if len(alive[UNMASK]) < ON.threshold(len(clients)):
        with pytest.raises(QuorumError, match="are needed to unmask a sum"):
            exchange.ask(QUESTION)
        return
    replies = exchange.ask(QUESTION)
    check_sum(summed(replies), clients, tuple(alive[SUM]))
    assert {r.client for r in replies if r.error} == set(clients) - set(alive[SUM])


@pytest.mark.parametrize("step", STEPS)
def test_drop_outs_at_one_step_down_to_the_threshold(step: str) -> None:
    clients = holders(6)  # threshold 4
    exchange, _ = together(clients, lambda task, client: task == step and client in "ab")
    total = summed(exchange.ask(QUESTION))
    check_sum(total, clients, tuple("abcdef") if step == UNMASK else tuple("cdef"))
    exchange, _ = together(clients, lambda task, client: task == step and client in "abc")
    with pytest.raises(QuorumError, match=r"3 of 6 clients got through .*, 4 are needed"):
        exchange.ask(QUESTION)


def test_a_client_that_is_back_takes_part_in_the_next_question() -> None:
    clients, away = holders(4), {"d"}
    exchange, _ = together(clients, lambda task, client: task == SUM and client in away)
    check_sum(summed(exchange.ask(QUESTION)), clients, ("a", "b", "c"))
    away.clear()
    move_on(clients)
    again = Request("newton", 2, QUESTION.arrays, QUESTION.config)
    check_sum(summed(exchange.ask(again)), clients, ("a", "b", "c", "d"))


def test_keys_are_made_once_for_several_questions_and_then_anew() -> None:
    clients = holders(3)
    exchange, tapped = together(clients)
    for number in range(9):
        check_sum(
            summed(exchange.ask(Request("newton", number, config={}))), clients, ("a", "b", "c")
        )
    asked = [request.task for request, reply in tapped.replies if reply.client == "a"]
    assert [asked.count(step) for step in STEPS] == [2, 2, 9, 9]


def test_a_client_that_restarts_between_two_questions_is_not_lost() -> None:
    clients = holders(3)
    handlers = secured(clients)
    exchange, tapped = together(clients)
    check_sum(summed(exchange.ask(QUESTION)), clients, ("a", "b", "c"))
    tapped._inner._handlers["b"] = handlers["b"]  # a new process: its secrets are gone
    again = Request("newton", 2, QUESTION.arrays, QUESTION.config)
    check_sum(summed(exchange.ask(again)), clients, ("a", "b", "c"))


def test_a_client_whose_rows_fail_is_absent_with_its_reason() -> None:
    clients = {**holders(4), "d": Broken()}
    exchange, _ = together(clients)
    replies = exchange.ask(QUESTION)
    (absent,) = (reply for reply in replies if reply.error)
    assert absent.client == "d"
    assert "sending the masked vector: OSError: disk gone" in absent.error


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e15])
def test_a_vector_that_cannot_be_added_stays_at_its_client(value: float) -> None:
    clients = {**holders(4), "d": Holder("d", [0.0, value, 0.0])}
    exchange, _ = together(clients)
    replies = exchange.ask(QUESTION)
    check_sum(summed(replies), clients, ("a", "b", "c"))
    assert "d" in {reply.client for reply in replies if reply.error}


def test_a_client_that_answers_with_other_arrays_is_left_out() -> None:
    clients = {**holders(4), "a": Holder("a", [1.0])}
    exchange, _ = together(clients)
    check_sum(summed(exchange.ask(QUESTION)), clients, ("b", "c", "d"))


def test_two_cohorts_have_keys_of_their_own() -> None:
    clients = holders(5)
    exchange, _ = together(clients)
    check_sum(summed(exchange.ask(QUESTION, ["a", "b", "c"])), clients, ("a", "b", "c"))
    move_on(clients)
    other = Request("newton", 2, config={})
    check_sum(summed(exchange.ask(other, ["c", "d", "e"])), clients, ("c", "d", "e"))


def test_fewer_clients_than_a_sum_needs_are_refused() -> None:
    exchange, _ = together(holders(2))
    with pytest.raises(QuorumError, match="a question to 2 clients is refused: a sum needs 3"):
        exchange.ask(QUESTION)


def test_a_cohort_of_another_size_than_agreed_is_refused() -> None:
    told = SecureSettings(on=True, num_clients=5)
    exchange, _ = together(holders(4), settings=told)
    with pytest.raises(QuorumError, match="4 clients is refused: this client was told of 5"):
        exchange.ask(QUESTION)
    five = holders(5)
    exchange, _ = together(five, settings=told)
    check_sum(summed(exchange.ask(QUESTION)), five, tuple("abcde"))


@pytest.mark.parametrize("task", ["drift", "unheard_of"])
def test_answers_that_are_no_sums_are_not_asked_for(task: str) -> None:
    exchange, tapped = together(holders(3))
    with pytest.raises(FederationError, match="are not sums"):
        exchange.ask(Request(task, 0))
    assert not tapped.replies


def test_the_cost_counts_every_message() -> None:
    exchange, tapped = together(holders(3))
    exchange.ask(QUESTION)
    cost = exchange.last_cost
    sent = sum(a.nbytes for _, r in tapped.replies if r.client == "b" for a in r.arrays.values())
    asked = sum(q.num_bytes_for("b") for q, r in tapped.replies if r.client == "b")
    assert (cost.bytes_up["b"], cost.bytes_down["b"]) == (sent, asked)
    assert set(cost.seconds) == {KEYS, SHARES, SUM, UNMASK}


def test_a_model_is_evaluated_once_whoever_is_there_the_second_time() -> None:
    """Both sums together would show the scores of the client that is gone."""
    gone: set[str] = set()
    exchange, tapped = together(holders(5), lambda _task, client: client in gone)
    asked = replace(QUESTION, task="evaluate")
    (first,) = exchange.ask(asked)
    gone.add("e")
    num_messages = len(tapped.replies)
    assert exchange.ask(replace(asked, round_num=9)) == (first,)
    assert len(tapped.replies) == num_messages
    other = replace(asked, arrays={"newton.weights": np.ones((1, 2))})
    with pytest.raises(FederationError, match="could be subtracted"):
        exchange.ask(other)  # these clients answer every question alike
