"""The exchange over a link that leaves, forgets and returns; no network, no real time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from fedchurn.errors import FederationError
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.flower.messages import reply_content, request_of
from fedchurn.federation.superlink.channel import LinkAway, RunOver
from fedchurn.federation.superlink.folding import folded, unfolded
from fedchurn.federation.superlink.link_exchange import LinkExchange, Session

QUESTION = Request("statistics", 3, {"weights": np.arange(3.0)}, {"k": 5})
DEADLINE = 30.0


class FakeLink:
    """Clients that answer at once with the sum of the weights, unless told otherwise.

    Attributes:
        there: sessions by client.
        silent: clients that get questions and do not answer.
        events: what happens, by time in seconds; each once.
        away_until: the link raises ``LinkAway`` before this time.
    """

    def __init__(self, clients: str = "abc") -> None:
        self.seconds = 0.0
        self.there = {name: Session(number, "first") for number, name in enumerate(clients, 1)}
        self.silent: set[str] = set()
        self.events: dict[float, Callable[[], None]] = {}
        self.away_until = 0.0
        self.forgot_run = False
        self.num_runs = 1
        self.asked: list[tuple[str, float, float]] = []  # client, when, time to live
        self.answer: Callable[[str, Request], Reply] = lambda name, request: Reply(
            name, {"sum": np.asarray(request.arrays["weights"]).sum(keepdims=True)}, {"n": 1}
        )
        self._answers: dict[str, Message] = {}
        self._next = 0

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += max(seconds, 1e-3)
        for when in [when for when in self.events if when <= self.seconds]:
            self.events.pop(when)()

    def exchange(self, num_clients: int = 3, quorum: float = 1.0) -> LinkExchange:
        return LinkExchange(
            self,
            num_clients=num_clients,
            connect_timeout_seconds=10.0,
            quorum_fraction=quorum,
            clock=self.clock,
            sleep=self.sleep,
        )

    def sessions(self) -> Mapping[str, Session]:
        self._be_there()
        return self.there

    def push(self, messages: Sequence[Message]) -> Sequence[str]:
        self._be_there()
        self._know_run()
        return [self._take(message) for message in messages]

    def pull(self, message_ids: Sequence[str], seconds: float) -> Sequence[Message]:
        assert seconds >= 0
        self._be_there()
        self._know_run()
        return [self._answers.pop(key) for key in message_ids if key in self._answers]

    def renew(self) -> None:
        self.forgot_run = False
        self.num_runs += 1
        self._answers.clear()

    def lose(self, name: str) -> None:
        del self.there[name]

    def come_back(self, name: str, since: str = "second") -> None:
        self.silent.discard(name)
        self.there[name] = Session(9, since)

    def _be_there(self) -> None:
        if self.seconds < self.away_until:
            raise LinkAway("away")

    def _know_run(self) -> None:
        if self.forgot_run:
            raise RunOver("forgotten")

    def _take(self, message: Message) -> str:
        self._next += 1
        key = f"message {self._next}"
        message.metadata.__dict__["_message_id"] = key
        node = message.metadata.dst_node_id
        name = next((n for n, session in self.there.items() if session.node == node), None)
        if name is None:
            return ""
        self.asked.append((name, self.seconds, message.metadata.ttl))
        if name not in self.silent:
            request = request_of(unfolded(message.content))
            content = folded(reply_content(self.answer(name, request), request))
            self._answers[key] = Message(content, reply_to=message)
        return key


def told(replies: Sequence[Reply]) -> dict[str, str]:
    return {reply.client: reply.error for reply in replies}


def test_answers_come_from_all_and_sorted() -> None:
    link = FakeLink()
    replies = link.exchange().ask(QUESTION, timeout_seconds=DEADLINE)
    assert [(r.client, float(r.arrays["sum"][0]), r.error) for r in replies] == [
        ("a", 3.0, ""),
        ("b", 3.0, ""),
        ("c", 3.0, ""),
    ]


def test_each_client_gets_its_own_arrays_only() -> None:
    link, seen = FakeLink(), {}
    link.answer = lambda name, request: seen.setdefault(name, set(request.arrays)) and Reply(name)
    request = Request("t", 1, {"all": np.ones(1)}, own_arrays={"a": {"mine": np.ones(1)}})
    link.exchange().ask(request, timeout_seconds=DEADLINE)
    assert seen == {"a": {"all", "mine"}, "b": {"all"}, "c": {"all"}}


def test_a_question_lives_no_longer_than_its_deadline() -> None:
    link = FakeLink()
    link.exchange().ask(QUESTION, timeout_seconds=7.0)
    assert {ttl for _, _, ttl in link.asked} == {7.0}


def test_a_straggler_is_absent_for_the_question_only() -> None:
    link = FakeLink()
    exchange = link.exchange(quorum=0.6)
    link.silent.add("b")
    assert told(exchange.ask(QUESTION, timeout_seconds=5.0))["b"] == "no answer within 5 s"
    assert link.seconds == pytest.approx(5.0, abs=0.1)
    link.silent.clear()
    assert set(told(exchange.ask(QUESTION, timeout_seconds=5.0)).values()) == {""}


def test_above_the_quorum_nobody_waits_for_the_absent() -> None:
    link = FakeLink()
    exchange = link.exchange(quorum=0.6)
    link.lose("b")
    assert told(exchange.ask(QUESTION, timeout_seconds=DEADLINE)) == {
        "a": "",
        "b": "not connected",
        "c": "",
    }
    assert link.seconds < 1


def test_below_the_quorum_the_absent_are_waited_for_and_asked_when_back() -> None:
    link = FakeLink()
    exchange = link.exchange(quorum=1.0)
    link.lose("b")
    link.events[12.0] = lambda: link.come_back("b")
    assert set(told(exchange.ask(QUESTION, timeout_seconds=DEADLINE)).values()) == {""}
    assert 12 <= link.seconds < 15
    assert [name for name, _, _ in link.asked] == ["a", "c", "b"]


def test_below_the_quorum_the_deadline_ends_the_wait() -> None:
    link = FakeLink()
    exchange = link.exchange()
    link.there.clear()
    errors = told(exchange.ask(QUESTION, timeout_seconds=DEADLINE))
    assert set(errors.values()) == {"not connected"}
    assert link.seconds == pytest.approx(DEADLINE, abs=0.1)


def test_who_was_killed_with_a_question_is_asked_again_by_its_new_session() -> None:
    link = FakeLink()
    exchange = link.exchange()
    link.silent.add("b")
    link.events[4.0] = lambda: link.come_back("b", "after the kill")
    assert set(told(exchange.ask(QUESTION, timeout_seconds=DEADLINE)).values()) == {""}
    assert [name for name, _, _ in link.asked] == ["a", "b", "c", "b"]


def test_who_left_with_a_question_is_named_so() -> None:
    link = FakeLink()
    exchange = link.exchange(quorum=0.6)
    link.silent.add("b")
    link.events[4.0] = lambda: link.lose("b")
    errors = told(exchange.ask(QUESTION, timeout_seconds=DEADLINE))
    assert errors == {"a": "", "b": "connection lost before it answered", "c": ""}
    assert link.seconds < 7


@pytest.mark.parametrize("gone", [ErrorCode.NODE_UNAVAILABLE, ErrorCode.MESSAGE_UNAVAILABLE])
def test_a_question_that_the_link_lost_is_asked_again(gone: int) -> None:
    link = FakeLink()
    exchange = link.exchange()
    once = link.pull
    failed: list[str] = []

    def lossy(message_ids: Sequence[str], seconds: float) -> Sequence[Message]:
        answers = list(once(message_ids, seconds))
        if answers and not failed:
            failed.append(answers[0].metadata.reply_to_message_id)
            lost = Message(Error(gone, "gone"), reply_to=answers[0])
            lost.metadata.__dict__["_reply_to_message_id"] = failed[0]
            answers[0] = lost
        return answers

    link.pull = lossy  # type: ignore[method-assign]
    assert set(told(exchange.ask(QUESTION, timeout_seconds=DEADLINE)).values()) == {""}
    assert len(link.asked) == 4


def test_a_link_that_is_away_is_waited_for() -> None:
    link = FakeLink()
    exchange = link.exchange()
    link.away_until = 20.0
    assert set(told(exchange.ask(QUESTION, timeout_seconds=DEADLINE)).values()) == {""}
    assert 20 <= link.seconds < 22


def test_a_link_that_stays_away_does_not_hold_the_round_beyond_its_deadline() -> None:
    link = FakeLink()
    exchange = link.exchange()
    link.away_until = 1e6
    assert "" not in told(exchange.ask(QUESTION, timeout_seconds=DEADLINE)).values()
    assert link.seconds == pytest.approx(DEADLINE, abs=0.6)


def test_a_link_that_leaves_in_the_middle_and_forgot_the_run() -> None:
    link = FakeLink()
    exchange = link.exchange()
    link.silent.update("abc")

    def restart() -> None:
        link.away_until, link.forgot_run = 9.0, True
        link.silent.clear()

    link.events[3.0] = restart
    assert set(told(exchange.ask(QUESTION, timeout_seconds=DEADLINE)).values()) == {""}
    assert link.num_runs == 2
    assert [name for name, _, _ in link.asked] == ["a", "b", "c"] * 2


def test_a_newcomer_takes_part_in_the_next_question() -> None:
    link = FakeLink("abc")
    exchange = link.exchange()
    link.come_back("d")
    assert exchange.clients() == ("a", "b", "c")
    assert set(told(exchange.ask(QUESTION, timeout_seconds=DEADLINE))) == set("abcd")
    assert exchange.clients() == ("a", "b", "c", "d")


def test_whatever_a_client_sends_the_others_answers_count() -> None:
    link = FakeLink()
    exchange = link.exchange(quorum=0.3)
    link.answer = lambda name, request: Reply("b") if name == "a" else Reply(name)
    once = link.pull

    def garbled(message_ids: Sequence[str], seconds: float) -> Sequence[Message]:
        answers = list(once(message_ids, seconds))
        for answer in answers:
            if answer.metadata.src_node_id == link.there["c"].node:
                answer.content = reply_content(Reply("c"), QUESTION)  # not folded
        return answers

    link.pull = garbled  # type: ignore[method-assign]
    errors = told(exchange.ask(QUESTION, timeout_seconds=DEADLINE))
    assert errors["a"] == "answered in the name of 'b'"
    assert errors["b"] == ""
    assert errors["c"].startswith("unusable answer: ValueError")


def test_a_clients_reason_is_no_book_and_steers_no_terminal() -> None:
    link = FakeLink()
    exchange = link.exchange()
    once = link.pull

    def shouting(message_ids: Sequence[str], seconds: float) -> Sequence[Message]:
        return [shouted(answer) for answer in once(message_ids, seconds)]

    def shouted(answer: Message) -> Message:
        reason = "\x1b[2Jgone\n" + 10**6 * "x"
        found = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=answer)
        asked = answer.metadata.reply_to_message_id
        found.metadata.__dict__["_reply_to_message_id"] = asked
        return found

    link.pull = shouting  # type: ignore[method-assign]
    errors = told(exchange.ask(QUESTION, timeout_seconds=DEADLINE))
    assert set(errors) == set("abc")
    for error in errors.values():
        assert error.startswith(" [2Jgone\nxxx")
        assert len(error) == 1003


def test_too_few_clients_at_the_start() -> None:
    link = FakeLink("a")
    with pytest.raises(FederationError, match=r"1 of 3 clients connected within 10 s: a"):
        link.exchange(quorum=0.6)
    assert link.seconds == pytest.approx(10.0, abs=0.6)


def test_the_quorum_is_enough_when_the_wait_is_over() -> None:
    link = FakeLink("ab")
    assert link.exchange(quorum=0.6).clients() == ("a", "b")
    assert link.seconds == pytest.approx(10.0, abs=0.6)
