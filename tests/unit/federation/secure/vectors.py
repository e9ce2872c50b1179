"""Clients that hold one vector each, and exchanges that lose messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import ClientHandler, Reply, Request
from fedchurn.federation.secure.client import SecureHandler
from fedchurn.federation.secure.exchange import SecureExchange
from fedchurn.settings_secure import SecureSettings

ON = SecureSettings(on=True)
QUESTION = Request("newton", 1, {"newton.weights": np.zeros((1, 2))}, {"split": "train"})


class Holder:
    """Answers every question with its vector."""

    def __init__(self, client: str, vector: Sequence[float], count: int = 1) -> None:
        self.client = client
        self.vector = np.asarray(vector, dtype=np.float64)
        self.count = count

    def handle(self, request: Request) -> Reply:
        arrays = {"vector": self.vector, "counts": np.array([self.count, -self.count])}
        return Reply(self.client, arrays, {"num_rows": float(self.count)})


class Tapped:
    """An exchange that keeps all that passes, and loses the answers that ``lost`` names."""

    def __init__(
        self,
        handlers: Mapping[str, ClientHandler],
        lost: Callable[[str, str], bool] = lambda _task, _client: False,
    ) -> None:
        self._inner = DirectExchange(handlers)
        self._lost = lost
        self.replies: list[tuple[Request, Reply]] = []

    def clients(self) -> tuple[str, ...]:
        return self._inner.clients()

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        replies = [
            Reply(reply.client, error="gone") if self._lost(request.task, reply.client) else reply
            for reply in self._inner.ask(request, clients, timeout_seconds)
        ]
        self.replies += [(request, reply) for reply in replies]
        return tuple(replies)

    def received(self, task: str, client: str) -> Mapping[str, NDArray[np.generic]]:
        """The arrays of a client's last answer to a step."""
        found = [r for q, r in self.replies if q.task == task and r.client == client]
        return found[-1].arrays


def holders(num_clients: int, size: int = 3, seed: int = 0) -> dict[str, Holder]:
    """Clients ``a``, ``b`` ... with vectors of ordinary numbers."""
    generator = np.random.default_rng(seed)
    names = [chr(ord("a") + number) for number in range(num_clients)]
    return {c: Holder(c, generator.normal(0, 50, size), 3 + n) for n, c in enumerate(names)}


def secured(
    clients: Mapping[str, ClientHandler], settings: SecureSettings = ON
) -> dict[str, SecureHandler]:
    """The clients, each behind its side of the protocol."""
    return {name: SecureHandler(name, one, settings) for name, one in clients.items()}


def together(
    clients: Mapping[str, ClientHandler],
    lost: Callable[[str, str], bool] = lambda _task, _client: False,
    settings: SecureSettings = ON,
) -> tuple[SecureExchange, Tapped]:
    """An exchange of sums, and what the server sees."""
    tapped = Tapped(secured(clients, settings), lost)
    return SecureExchange(tapped, settings), tapped
