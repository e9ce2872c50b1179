"""The exchange of simulated clients: one process answers for all of them, many at once.

Tasks that would be slow one client after another have a bulk form (``simulation_tasks``), which
answers as the clients would; every other task is answered by the clients' own handlers, of which
only the last used ones are held. No messages are made: the driver and its checks are the same.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from fedchurn.federation.direct_exchange import answer, no_answer, not_connected, own_copy
from fedchurn.federation.exchange import ClientHandler, Reply, Request, asked_of

MAX_OPEN_CLIENTS = 512  # handlers hold rows; clients that are not asked hold none

Clock = Callable[[], float]


class BulkTask(Protocol):
    """Answers a request for many clients in one go."""

    def __call__(self, request: Request, clients: Sequence[str]) -> Sequence[Reply] | None:
        """A reply for every client, or sums over clients that name them as members.

        None when the request holds something that only the clients' own handlers understand.
        """


class SimulationExchange:
    """See the module docstring.

    Args:
        clients: names of all clients.
        open_client: makes the handler of a client, when it is needed.
        bulk: tasks that are answered for all asked clients at once, by name.
        max_open: handlers that are held; the one used longest ago is let go first, with all that it
            remembers.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        clients: Sequence[str],
        open_client: Callable[[str], ClientHandler],
        *,
        bulk: Mapping[str, BulkTask] | None = None,
        max_open: int = MAX_OPEN_CLIENTS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._clients = tuple(sorted(clients))
        self._known = frozenset(self._clients)
        self._open_client = open_client
        self._bulk = dict(bulk or {})
        self._max_open = max_open
        self._clock = clock
        self._open: OrderedDict[str, ClientHandler] = OrderedDict()

    def clients(self) -> tuple[str, ...]:
        """Names of all clients, sorted."""
        return self._clients

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        """One reply per asked client, sorted by name; see ``Exchange``.

        The deadline is each client's own: of work that is done for many at once, each has its part.
        """
        asked = asked_of(self._clients, clients)
        present = [client for client in asked if client in self._known]
        replies = self._in_bulk(request, present, timeout_seconds)
        if replies is None:
            replies = [self._ask_one(client, request, timeout_seconds) for client in present]
        absent = [not_connected(client) for client in asked if client not in self._known]
        return tuple(sorted((*replies, *absent), key=lambda reply: reply.client))

    def _in_bulk(
        self, request: Request, clients: Sequence[str], timeout_seconds: float
    ) -> list[Reply] | None:
        task = self._bulk.get(request.task)
        if task is None or not clients:
            return None
        begun = self._clock()
        try:
            replies = task(request, clients)
        except Exception as error:  # what fails for all is told by all
            return [Reply(client, error=f"{type(error).__name__}: {error}") for client in clients]
        if (self._clock() - begun) / len(clients) > timeout_seconds:
            return [no_answer(client, timeout_seconds) for client in clients]
        return None if replies is None else list(replies)

    def _ask_one(self, client: str, request: Request, timeout_seconds: float) -> Reply:
        begun = self._clock()
        try:
            handler = self._handler(client)
        except Exception as error:  # its rows cannot be read; the others' can
            return Reply(client, error=f"{type(error).__name__}: {error}")
        reply = answer(client, handler, own_copy(request.for_client(client)))
        if self._clock() - begun > timeout_seconds:
            return no_answer(client, timeout_seconds)
        return reply

    def _handler(self, client: str) -> ClientHandler:
        if client not in self._open:
            while len(self._open) >= self._max_open:
                self._open.popitem(last=False)
            self._open[client] = self._open_client(client)
        self._open.move_to_end(client)
        return self._open[client]
