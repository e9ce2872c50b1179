"""Something that happens a thousand times a second is said once a minute, with its number."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Clock = Callable[[], float]


class RareMessage:
    """Adds up what happened and says when it is time to speak; safe from any thread."""

    def __init__(self, *, interval_seconds: float = 60.0, clock: Clock = time.monotonic) -> None:
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._next: float | None = None
        self._unsaid = 0

    def add(self, number: int = 1) -> int:
        """How many there were since the last message if it is time for one, else 0."""
        now = self._clock()
        with self._lock:
            self._unsaid += number
            if self._next is not None and now < self._next:
                return 0
            self._next = now + self._interval_seconds
            unsaid, self._unsaid = self._unsaid, 0
            return unsaid
