"""The port between the driver of a federation and its clients.

The driver asks, clients answer; only what a ``Reply`` carries leaves a client. Three engines and
the tests' direct exchange implement ``Exchange`` and pass the same suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Request:
    """One question to clients.

    Attributes:
        task: what to do: ``statistics``, ``newton``, ``local_epochs``, ``evaluate``, ``compare``,
            ``dependence``, ``held_out``, ``drift``, ``labels``.
        round_num: 1-based round; 0 before training.
        arrays: named arrays, for example the global weights.
        config: settings of the task; records travel as JSON text.
    """

    task: str
    round_num: int
    arrays: Arrays = field(default_factory=dict)
    config: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """One client's answer: sums and updates, never rows.

    Attributes:
        client: the client's name.
        arrays: named arrays.
        numbers: named scalars, for example ``num_rows``.
        error: why there is no answer; empty when there is one.
    """

    client: str
    arrays: Arrays = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


class Exchange(Protocol):
    """Carries requests to clients and brings replies back."""

    def clients(self) -> tuple[str, ...]:
        """Names of all clients, sorted."""

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        """One reply per asked client (all of them by default), sorted by client name.

        A client that failed, or did not answer in time, is present with ``error`` set: nothing is
        lost, and the order of arrival has no influence on sums.
        """


class ClientHandler(Protocol):
    """What a client does with a request; the engines call it, beside the client's own rows."""

    def handle(self, request: Request) -> Reply:
        """The reply; may raise, which the engine turns into a reply with ``error``."""
