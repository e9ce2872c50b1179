"""Who did what and when, in tests."""

from __future__ import annotations

from fedchurn.registry.decision import Decision
from fedchurn.registry.policy import Reason
from fedchurn.registry.recovery import Act


def at(minute: int) -> str:
    return f"2026-03-01T12:{minute:02d}:00+00:00"


def act(minute: int, actor: str = "anna") -> Act:
    return Act(actor, at(minute))


def refused(release_id: str, champion: str | None) -> Decision:
    reason = Reason("accuracy", False, 0.7, 0.8, "Accuracy 0.7000 is below the floor 0.8000.")
    return Decision("refused", (reason,), release_id, champion, "add rows")


def promoted(release_id: str, champion: str | None) -> Decision:
    reason = Reason("accuracy", True, 0.9, 0.8, "Accuracy 0.9000 reaches the floor 0.8000.")
    return Decision("promoted", (reason,), release_id, champion)
