"""What the promotion journal holds.

Actions: ``promoting`` and ``rolling_back`` announce a change of production before it happens;
``promote`` and ``rollback`` say that it is done, ``abandon`` that it never happened. ``adopt``
records a production version that somebody set outside Fedchurn. ``refuse`` and ``archive`` (a first
model below the floors) leave production as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fedchurn.errors import PromotionError
from fedchurn.journal.chain import Line as ChainLine

INTENTIONS = {"promoting": "promote", "rolling_back": "rollback"}
LIVE_ACTIONS = ("promote", "rollback", "adopt")
ACTIONS = (*INTENTIONS, *LIVE_ACTIONS, "abandon", "refuse", "archive")


@dataclass(frozen=True)
class Entry:
    """What happened.

    Attributes:
        action: one of ``ACTIONS``.
        version: registry version that it is about; "" when production became empty.
        release_id: release of that version.
        run_id: tracking run that made it, or "".
        actor: who did it.
        time: when, ISO 8601 with a UTC offset; given by the caller.
        champion_before: version in production before, or None.
        decision: the decision record (``Decision.to_dict``), or None when a person decided.
        note: free text, for example a person's reason.
    """

    action: str
    version: str
    release_id: str
    run_id: str
    actor: str
    time: str
    champion_before: str | None
    decision: Mapping[str, Any] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise PromotionError(f"unknown journal action {self.action!r}")
        moment(self.time)

    @property
    def title(self) -> str:
        """The model that the entry is about, for messages."""
        return f"version {self.version} ({self.release_id})" if self.version else "nothing"


Line = ChainLine[Entry]


def read_entry(stored: Mapping[str, Any]) -> Entry:
    """The entry behind a line."""
    return Entry(**stored)


def moment(time: str) -> datetime:
    """The instant behind an ISO 8601 time.

    Raises:
        PromotionError: not such a time, or one without a UTC offset.
    """
    try:
        parsed = datetime.fromisoformat(time)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise PromotionError(
            f"{time!r} is not a time with a UTC offset",
            next_step="write it like 2026-03-01T12:00:00+00:00",
        )
    return parsed
