"""Progress of the rounds: a Prefect progress artifact, and whoever listens in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from fedchurn.federation.training.state import RoundRecord

OnRound = Callable[[RoundRecord, int], None]

# The command line listens here to draw its bar; a flow parameter could not hold a function.
ROUND_LISTENER: ContextVar[OnRound | None] = ContextVar("round_listener", default=None)

UPDATE_SECONDS = 1.0  # an update is a request to the server; rounds can be much quicker


@contextmanager
def listening(listener: OnRound) -> Iterator[None]:
    """Tells ``listener`` about every round that is played inside the block."""
    token = ROUND_LISTENER.set(listener)
    try:
        yield
    finally:
        ROUND_LISTENER.reset(token)


class RoundProgress:
    """Moves a progress artifact, once a second at most, and tells the listener of every round."""

    def __init__(self, contract: str) -> None:
        self._contract = contract
        self._listener = ROUND_LISTENER.get()
        self._artifact: UUID | None = None
        self._updated_seconds = 0.0

    def begin(self) -> OnRound:
        """Make the artifact; returns what to call after every round."""
        self._artifact = create_progress_artifact(
            progress=0.0,
            key=f"progress-{self._contract}".lower().replace("_", "-"),
            description=f"Federated rounds of {self._contract}",
        )
        return self._report

    def end(self) -> None:
        """Training is over, perhaps before its last round; nothing when it never began."""
        if self._artifact is not None:
            update_progress_artifact(self._artifact, progress=100.0)

    def _report(self, record: RoundRecord, total: int) -> None:
        now = time.monotonic()
        if self._artifact is not None and now - self._updated_seconds >= UPDATE_SECONDS:
            update_progress_artifact(
                self._artifact, progress=100.0 * record.round_num / max(total, 1)
            )
            self._updated_seconds = now
        if self._listener is not None:
            self._listener(record, total)
