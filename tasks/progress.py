"""Progress of the rounds: a Prefect progress artifact, and whoever listens in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from fedchurn.federation.state import RoundRecord

OnRound = Callable[[RoundRecord, int], None]

# The command line listens here to draw its bar; a flow parameter could not hold a function.
ROUND_LISTENER: ContextVar[OnRound | None] = ContextVar("round_listener", default=None)


@contextmanager
def listening(listener: OnRound) -> Iterator[None]:
    """Tells ``listener`` about every round that is played inside the block."""
    token = ROUND_LISTENER.set(listener)
    try:
        yield
    finally:
        ROUND_LISTENER.reset(token)


def round_reporter(contract: str, *others: OnRound) -> OnRound:
    """Called after every round: moves the progress artifact and tells all listeners."""
    artifact = create_progress_artifact(
        progress=0.0,
        key=f"progress-{contract}".lower().replace("_", "-"),
        description=f"Federated rounds of {contract}",
    )
    listener = ROUND_LISTENER.get()
    listeners = [*others, *([listener] if listener else [])]

    def report(record: RoundRecord, total: int) -> None:
        update_progress_artifact(artifact, progress=100.0 * record.round_num / max(total, 1))
        for tell in listeners:
            tell(record, total)

    return report
