"""A Flower grid inside this process: the default engine.

It hands messages to the ``ClientApp`` directly, with one context per node as Flower's runtimes do,
so that the same apps run here, in the Ray simulation and on a SuperLink.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from fedchurn.federation.exchange import ClientHandler, Exchange
from fedchurn.federation.flower.app import make_client_app, make_server_app

RUN_ID = 1


class InProcessGrid(Grid):
    """Calls a ``ClientApp`` for every message, one node after another.

    An app cannot be interrupted: an answer that took longer than the deadline is dropped, as a
    message past its time to live is.

    Args:
        client_app: answers all messages.
        contexts: one per node, by node number; their state lives as long as the grid.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        client_app: ClientApp,
        contexts: Mapping[int, Context],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client_app = client_app
        self._contexts = dict(contexts)
        self._clock = clock
        self._run = Run.create_empty(RUN_ID)
        self._answers: dict[str, tuple[Message, float]] = {}

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        return sorted(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Answer every message at once; ``pull_messages`` hands the answers over."""
        message_ids = []
        for message in messages:
            message.metadata.__dict__.update(
                _run_id=self._run.run_id, _src_node_id=SUPERLINK_NODE_ID, _message_id=str(uuid4())
            )
            begun = self._clock()
            answer = self._answer(message)
            self._answers[message.metadata.message_id] = (answer, self._clock() - begun)
            message_ids.append(message.metadata.message_id)
        return message_ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [answer for answer, _ in self._take(message_ids)]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        answers = self._take(self.push_messages(messages))
        return [answer for answer, seconds in answers if timeout is None or seconds <= timeout]

    def _take(self, message_ids: Iterable[str]) -> list[tuple[Message, float]]:
        return [self._answers.pop(key) for key in message_ids if key in self._answers]

    def _answer(self, message: Message) -> Message:
        context = self._contexts.get(message.metadata.dst_node_id)
        if context is None:
            error = Error(ErrorCode.NODE_UNAVAILABLE, "no such node")
            return Message(error, reply_to=message)
        try:
            return self._client_app(message, context)
        except Exception as raised:  # as Flower's runtimes do
            reason = f"{type(raised).__name__}: {raised}"
            error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason)
            return Message(error, reply_to=message)


def node_contexts(clients: Iterable[str]) -> dict[int, Context]:
    """A fresh context per client, with the keys of Flower's simulation and the client's name."""
    names = sorted(clients)
    return {
        number: _context(
            number,
            {"partition-id": number - 1, "num-partitions": len(names), "client": client},
        )
        for number, client in enumerate(names, start=1)
    }


def run_in_process(
    drive: Callable[[Exchange, Context], None], handlers: Mapping[str, ClientHandler]
) -> None:
    """Run ``drive`` as a ``ServerApp`` in this process, with one ``ClientApp`` node per handler."""
    client_app = make_client_app(
        handler_for=lambda context: handlers[str(context.node_config["client"])],
        client_name=lambda context: str(context.node_config["client"]),
    )
    server_app = make_server_app(drive, num_clients=len(handlers))
    server_app(InProcessGrid(client_app, node_contexts(handlers)), _context(SUPERLINK_NODE_ID, {}))


def _context(node_id: int, node_config: dict[str, str | int]) -> Context:
    return Context(RUN_ID, node_id, {**node_config}, RecordDict(), {})
