"""The exchange without Flower: handlers called in this process, one after another.

The reference implementation of the port, and the quickest way to train in a test.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fedchurn.errors import FedchurnError
from fedchurn.federation.exchange import NOT_CONNECTED, ClientHandler, Reply, Request, asked_of


class DirectExchange:
    """Asks handlers in this process.

    A handler cannot be interrupted: one that answers after the deadline has its answer refused, as
    a server would refuse it.

    Args:
        handlers: one per client, by name.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        handlers: Mapping[str, ClientHandler],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers = dict(handlers)
        self._clock = clock

    def clients(self) -> tuple[str, ...]:
        """Names of all clients, sorted."""
        return tuple(sorted(self._handlers))

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        """One reply per asked client, sorted by name; see ``Exchange``."""
        asked = asked_of(self.clients(), clients)
        return tuple(self._ask_one(client, request, timeout_seconds) for client in asked)

    def _ask_one(self, client: str, request: Request, timeout_seconds: float) -> Reply:
        handler = self._handlers.get(client)
        if handler is None:
            return not_connected(client)
        begun = self._clock()
        reply = answer(client, handler, own_copy(request.for_client(client)))
        if self._clock() - begun > timeout_seconds:
            return no_answer(client, timeout_seconds)
        return reply


def answer(client: str, handler: ClientHandler, request: Request) -> Reply:
    """The handler's reply; whatever it raises becomes a reply with ``error``."""
    try:
        reply = handler.handle(request)
    except FedchurnError as error:  # the round goes on without this client
        return Reply(client, error=error.in_a_line())
    except Exception as error:
        return Reply(client, error=f"{type(error).__name__}: {error}")
    if reply.client != client:
        return Reply(client, error=f"answered in the name of {reply.client!r}")
    return reply


def own_copy(request: Request) -> Request:
    """The request with arrays of its own, so that no client can change another's."""
    arrays = {name: array.copy() for name, array in request.arrays.items()}
    return replace(request, arrays=arrays, config=dict(request.config))


def not_connected(client: str) -> Reply:
    """The reply of a client that is not there to be asked."""
    return Reply(client, error=NOT_CONNECTED)


def no_answer(client: str, timeout_seconds: float) -> Reply:
    """The reply of a client that missed the deadline."""
    return Reply(client, error=f"no answer within {timeout_seconds:g} s")
