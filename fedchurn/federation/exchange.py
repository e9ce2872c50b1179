"""The port between the driver of a federation and its clients.

The driver asks, clients answer; only what a ``Reply`` carries leaves a client. Three engines and
the tests' direct exchange implement ``Exchange`` and pass the same suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]
Scalar = str | int | float | bool

TOGETHER = "clients together"  # who answers when only a sum over clients is known
NOT_CONNECTED = "not connected"  # error of a reply from a client that was sent nothing
ONE_SUM = "one_sum"  # in a request's config: a sum over the asked clients would do as well


@dataclass(frozen=True)
class Request:
    """One question to clients.

    Attributes:
        task: what to do: ``statistics``, ``newton``, ``local_epochs``, ``evaluate``, ``compare``,
            ``dependence``, ``held_out``, ``drift``, ``labels``, ``join``, ``personalise``.
        round_num: 1-based round; 0 before training.
        arrays: named arrays, for example the global weights.
        config: settings of the task; records travel as JSON text.
        own_arrays: per client, arrays that only this client is sent, beside ``arrays``.
    """

    task: str
    round_num: int
    arrays: Arrays = field(default_factory=dict)
    config: Mapping[str, Scalar] = field(default_factory=dict)
    own_arrays: Mapping[str, Arrays] = field(default_factory=dict)

    def for_client(self, client: str) -> Request:
        """What this client is sent; others' arrays are not in it."""
        arrays = {**self.arrays, **self.own_arrays.get(client, {})}
        return replace(self, arrays=arrays, own_arrays={})

    def num_bytes_for(self, client: str) -> int:
        """Bytes of the arrays that this client is sent."""
        return num_bytes(self.for_client(client).arrays)


@dataclass(frozen=True)
class Reply:
    """One client's answer, or the sum of several: sums and updates, never rows.

    Attributes:
        client: the client's name.
        arrays: named arrays.
        numbers: named scalars, for example ``num_rows``.
        error: why there is no answer; empty when there is one.
        members: clients whose answers this one is the sum of, sorted; empty for one client's own.
    """

    client: str
    arrays: Arrays = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    members: tuple[str, ...] = ()

    @property
    def clients(self) -> tuple[str, ...]:
        """Whose answers these are."""
        return self.members or (self.client,)


def num_bytes(arrays: Arrays) -> int:
    """Bytes of named arrays, without names and envelopes."""
    return sum(array.nbytes for array in arrays.values())


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


def asked_of(known: Sequence[str], clients: Sequence[str] | None) -> tuple[str, ...]:
    """Who is asked, sorted and each once: all that are known, if nobody is named."""
    return tuple(sorted(set(known if clients is None else clients)))


class ClientHandler(Protocol):
    """What a client does with a request; the engines call it, beside the client's own rows."""

    def handle(self, request: Request) -> Reply:
        """The reply; may raise, which the engine turns into a reply with ``error``."""
