"""The Flower apps and the exchange over any Flower grid: the same on all engines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from fedchurn.errors import FederationError
from fedchurn.federation.direct_exchange import answer, no_answer, not_connected
from fedchurn.federation.exchange import ClientHandler, Exchange, Reply, Request, asked_of
from fedchurn.federation.flower.messages import (
    HELLO,
    message_type,
    packed_arrays,
    reply_content,
    reply_of,
    request_content,
    request_of,
)

HELLO_REQUEST = Request(HELLO, 0)
NEWCOMER_SECONDS = 5.0  # a round waits no longer for an unknown node to give its name


def make_client_app(
    handler_for: Callable[[Context], ClientHandler], client_name: Callable[[Context], str]
) -> ClientApp:
    """The app that runs beside a client's rows.

    Args:
        handler_for: the handler of the client behind a Flower context. Called once per message:
            keep what is costly to build.
        client_name: that client's name; answers the driver's ``hello`` without loading rows.
    """
    app = ClientApp()

    def respond(message: Message, context: Context) -> Message:
        request, client = request_of(message.content), client_name(context)
        if request.task == HELLO:
            reply = Reply(client)
        else:
            reply = answer(client, _Deferred(handler_for, context), request)
        return Message(reply_content(reply, request), reply_to=message)

    for register in (app.train, app.evaluate, app.query):
        register()(respond)
    return app


class _Deferred:
    """Builds the handler inside ``answer``, so that what building raises travels as text too."""

    def __init__(self, handler_for: Callable[[Context], ClientHandler], context: Context) -> None:
        self._handler_for = handler_for
        self._context = context

    def handle(self, request: Request) -> Reply:
        return self._handler_for(self._context).handle(request)


def make_server_app(
    drive: Callable[[Exchange, Context], None],
    *,
    num_clients: int = 1,
    connect_timeout_seconds: float = 60.0,
) -> ServerApp:
    """The app that runs a federation: ``drive`` is given an exchange over Flower's grid.

    Args:
        drive: what to do; its exceptions end the run.
        num_clients: how many clients to wait for.
        connect_timeout_seconds: how long to wait for them.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        exchange = GridExchange(
            grid, num_clients=num_clients, connect_timeout_seconds=connect_timeout_seconds
        )
        drive(exchange, context)

    return app


class GridExchange:
    """Asks clients over a Flower grid.

    Nodes are known to Flower by number and to us by client name: every node is asked for its name
    once, and again whenever an unknown node turns up, so that a client may leave and come back.

    Args:
        grid: in this process, of the simulation, or of a SuperLink.
        num_clients: how many clients to wait for before the first question.
        connect_timeout_seconds: how long to wait for them.

    Raises:
        FederationError: too few clients connected, or two nodes gave the same name.
    """

    def __init__(
        self, grid: Grid, *, num_clients: int = 1, connect_timeout_seconds: float = 60.0
    ) -> None:
        self._grid = grid
        self._names: dict[int, str] = {}
        self._connect_timeout_seconds = connect_timeout_seconds
        self._wait_for(num_clients)

    def clients(self) -> tuple[str, ...]:
        """Names of all clients met so far, sorted."""
        return tuple(sorted(set(self._names.values())))

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        """One reply per asked client, sorted by name; see ``Exchange``."""
        nodes = self._connected(min(timeout_seconds, NEWCOMER_SECONDS))
        asked = asked_of(self.clients(), clients)
        reached = [nodes[client] for client in asked if client in nodes]
        answers = self._send(request, reached, timeout_seconds)
        replies = []
        for client in asked:
            if client not in nodes:
                replies.append(not_connected(client))
            elif (message := answers.get(nodes[client])) is None:
                replies.append(no_answer(client, timeout_seconds))
            else:
                replies.append(_reply(client, message, request))
        return tuple(replies)

    def _wait_for(self, num_clients: int) -> None:
        deadline = time.monotonic() + self._connect_timeout_seconds
        while len(self._connected(self._connect_timeout_seconds)) < num_clients:
            if time.monotonic() > deadline:
                names = ", ".join(self.clients()) or "none"
                raise FederationError(
                    f"{len(self.clients())} of {num_clients} clients connected within "
                    f"{self._connect_timeout_seconds:g} s: {names}",
                    next_step="start the missing clients, or ask for fewer",
                )
            time.sleep(0.1)

    def _connected(self, hello_seconds: float) -> dict[str, int]:
        """Client name -> node number of the nodes that are there now."""
        present = set(self._grid.get_node_ids())
        unknown = sorted(present - set(self._names))
        hellos = self._send(HELLO_REQUEST, unknown, hello_seconds)
        for node, message in sorted(hellos.items()):
            if not message.has_error():
                self._names[node] = reply_of(message.content, HELLO_REQUEST).client
        return _by_name({node: self._names[node] for node in present if node in self._names})

    def _send(
        self, request: Request, nodes: Sequence[int], timeout_seconds: float
    ) -> dict[int, Message]:
        """Node number -> its answer. Every message has records of its own, and lives no longer than
        the deadline, lest a node train on a round that is over."""
        if not nodes:
            return {}
        packed = packed_arrays(request.arrays)
        own = {
            node: packed_arrays(request.own_arrays.get(self._names.get(node, ""), {}))
            for node in nodes
        }
        messages = [
            Message(
                request_content(request, {**packed, **own[node]}),
                dst_node_id=node,
                message_type=message_type(request.task),
                ttl=timeout_seconds,
                group_id=str(request.round_num),
            )
            for node in nodes
        ]
        answers = self._grid.send_and_receive(messages, timeout=timeout_seconds)
        return {message.metadata.src_node_id: message for message in answers}


def _reply(client: str, message: Message, request: Request) -> Reply:
    if message.has_error():
        return Reply(client, error=message.error.reason or f"error {message.error.code}")
    reply = reply_of(message.content, request)
    if reply.client != client:
        return Reply(client, error=f"answered in the name of {reply.client!r}")
    return reply


def _by_name(names: Mapping[int, str]) -> dict[str, int]:
    nodes: dict[str, int] = {}
    for node, client in sorted(names.items()):
        if client in nodes:
            raise FederationError(
                f"nodes {nodes[client]} and {node} both call themselves {client!r}",
                next_step="give every client a name of its own",
            )
        nodes[client] = node
    return nodes
