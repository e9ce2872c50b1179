"""A client's loop: what it answers, and what it survives; no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID

from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.flower.app import make_client_app
from fedchurn.federation.flower.messages import message_type, reply_of, request_content
from fedchurn.federation.superlink.channel import LinkAway, LinkRefused, RunOver
from fedchurn.federation.superlink.client import ClientPlace, answer_questions
from fedchurn.federation.superlink.folding import folded, unfolded

QUESTION = Request("statistics", 2, {"weights": np.arange(3.0)}, {"k": 5, "name": "x"})
PLACE = ClientPlace(
    "a", "127.0.0.1:1", b"", ec.generate_private_key(ec.SECP384R1()), "a.csv", Path("a.node")
)


class Summing:
    """Answers with the sum of the weights."""

    def handle(self, request: Request) -> Reply:
        return Reply("a", {"sum": np.asarray(request.arrays["weights"]).sum(keepdims=True)})


class FakeConnection:
    """Hands over what is put in, and ends the loop when nothing is left."""

    node = 7

    def __init__(self, *events: Message | Exception | None) -> None:
        self._events = list(events)
        self.sent: list[Message] = []
        self.failing: list[Exception] = []

    def is_drained(self) -> bool:
        return not self._events

    def receive(self, seconds: float) -> Message | None:
        event = self._events.pop(0)
        if isinstance(event, Exception):
            raise event
        return event

    def send(self, answer: Message, seconds_taken: float) -> None:
        assert seconds_taken >= 0
        if self.failing:
            raise self.failing.pop(0)
        self.sent.append(answer)

    def close(self) -> None:
        pass


def question(content: RecordDict | None = None) -> Message:
    message = Message(
        folded(request_content(QUESTION)) if content is None else content,
        dst_node_id=7,
        message_type=message_type(QUESTION.task),
        ttl=60.0,
    )
    message.metadata.__dict__.update(_run_id=1, _message_id="m", _src_node_id=SUPERLINK_NODE_ID)
    return message


def serve(connection: FakeConnection, sleep: Callable[[float], None] = lambda _s: None) -> None:
    app = make_client_app(lambda _context: Summing(), lambda context: context.node_config["client"])  # type: ignore[arg-type,return-value]
    answer_questions(connection, app, PLACE, is_ended=connection.is_drained, sleep=sleep)


def sums(connection: FakeConnection) -> list[float]:
    replies = [reply_of(unfolded(answer.content), QUESTION) for answer in connection.sent]
    assert all(reply.client == "a" for reply in replies)
    return [float(reply.arrays["sum"][0]) for reply in replies]


def test_a_question_is_answered() -> None:
    connection = FakeConnection(question())
    serve(connection)
    assert sums(connection) == [3.0]


@pytest.mark.parametrize("trouble", [LinkAway("away"), LinkRefused("no"), None])
def test_trouble_before_a_question(trouble: Exception | None) -> None:
    connection = FakeConnection(trouble, trouble, question())
    serve(connection)
    assert sums(connection) == [3.0]


@pytest.mark.parametrize("trouble", [LinkAway("away"), LinkRefused("no"), RunOver("late")])
def test_an_answer_that_cannot_be_sent_is_dropped(trouble: Exception) -> None:
    connection = FakeConnection(question(), question())
    connection.failing = [trouble]
    serve(connection)
    assert sums(connection) == [3.0]


def test_who_is_not_known_any_more_must_connect_again() -> None:
    with pytest.raises(RunOver):
        serve(FakeConnection(RunOver("who are you"), question()))


def test_a_question_that_is_none_of_ours_is_answered_with_an_error() -> None:
    connection = FakeConnection(question(RecordDict()), question())
    serve(connection)
    assert connection.sent[0].has_error()
    assert "not one of Fedchurn's" in str(connection.sent[0].error.reason)
    connection.sent.pop(0)
    assert sums(connection) == [3.0]


def test_who_is_not_asked_looks_less_often_and_who_is_asked_at_once() -> None:
    waits: list[float] = []
    serve(FakeConnection(*[None] * 12, question(), None), waits.append)
    idle, after = waits[:12], waits[12:]
    assert idle == sorted(idle)
    assert idle[0] == after[0] == pytest.approx(0.02)
    assert idle[-1] == pytest.approx(1.0)


def test_folding_keeps_records_and_equal_records_give_equal_bytes() -> None:
    content = request_content(QUESTION)
    assert folded(content) == folded(request_content(QUESTION))
    back = unfolded(folded(content))
    assert back.config_records == content.config_records
    array = back.array_records["arrays"]["weights"].numpy()
    assert array.dtype == np.float64
    assert array.tolist() == [0.0, 1.0, 2.0]
