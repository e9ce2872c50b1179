"""What the retraining journal holds.

Kinds of entries, in the order of a story:

- ``trigger``: an event arrived; facts are the trigger's, and ``arrival``.
- ``decision``: what was decided about it; facts are the decision's, ``arrival``, ``run_key`` and
  ``rows`` (the folder of rows to train on that it looked at); both are "" where there are none.
- ``run``: a training is asked for from now on; facts are ``run_key``, ``place`` (who trains) and
  ``data`` (what it trains on).
- ``started``: it is known by ``flow_run_id`` and ``flow_run_name`` to who trains.
- ``outcome``: it has ended: ``outcome`` (promoted, refused, unchanged, failed), ``release_id``,
  ``version``, ``summary``.

A decision to retrain without an outcome is an open run: whoever looks next goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedchurn.errors import RetrainingError
from fedchurn.retraining.trigger import moment

TRIGGER, DECISION, RUN, STARTED, OUTCOME = KINDS = (
    *("trigger", "decision", "run", "started", "outcome"),
)


@dataclass(frozen=True)
class RetrainEntry:
    """What happened.

    Attributes:
        kind: one of ``KINDS``.
        time: when, ISO 8601 with a UTC offset; given by the caller.
        actor: person or process that wrote it.
        facts: JSON-ready, by kind.
    """

    kind: str
    time: str
    actor: str
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RetrainingError(f"unknown kind of journal entry {self.kind!r}")
        moment(self.time)


def read_entry(stored: Mapping[str, Any]) -> RetrainEntry:
    """The entry behind a line of the journal."""
    return RetrainEntry(**stored)
