"""What the reloader and the experiments tell the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fedchurn.serving.live import Serving
    from fedchurn.serving.reload.result import ReloadResult


class ServingEvents(Protocol):
    """Called from the watcher's, the recorder's and callers' threads; must not raise."""

    def serving_changed(self, state: Serving) -> None:
        """Something else answers from now on; also called once at the start."""

    def reload_ended(self, result: ReloadResult) -> None:
        """A reload was tried: ``reloaded`` or ``failed``; ``unchanged`` when a person asked, or
        when what had failed is not wanted any more.
        """

    def golden_checked(self, role: str, passed: bool) -> None:
        """Golden rows of what answers as ``role`` were computed again."""

    def shadow_compared(self, differences: Sequence[float], num_decisions_differ: int) -> None:
        """Answers that the challenger gave silently: how far its probabilities are away (0-1)."""

    def shadow_failed(self, num_rows: int) -> None:
        """Rows that the challenger could not score."""


class NoEvents:
    """Nobody listens."""

    def serving_changed(self, state: Serving) -> None: ...

    def reload_ended(self, result: ReloadResult) -> None: ...

    def golden_checked(self, role: str, passed: bool) -> None: ...

    def shadow_compared(self, differences: Sequence[float], num_decisions_differ: int) -> None: ...

    def shadow_failed(self, num_rows: int) -> None: ...
