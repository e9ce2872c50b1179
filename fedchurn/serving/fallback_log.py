"""Says in the log that fallbacks answer, without a line per request."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable

logger = logging.getLogger("bentoml.churn.fallback")


class SwitchLog:
    """One warning per model and reason every ``interval_seconds``; what is kept back is counted."""

    def __init__(
        self, *, interval_seconds: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[tuple[str, str], float] = {}
        self._num_rows: dict[tuple[str, str], int] = {}

    def switched(
        self, model: str, reason: str, num_rows: int, error: Exception | None = None
    ) -> None:
        """``model`` gave no answer about ``num_rows`` rows for a ``reason``."""
        key = (model, reason)
        now = self._clock()
        with self._lock:
            self._num_rows[key] = self._num_rows.get(key, 0) + num_rows
            if now < self._due.get(key, now):
                return
            self._due[key] = now + self._interval_seconds
            counted = self._num_rows.pop(key)
        cause = f": {place(error)}" if error is not None else ""
        logger.warning(
            "%s gave no answer (%s) about %d rows since the last such message; the next step of "
            "the fallback chain answered%s",
            model,
            reason,
            counted,
            cause,
        )


def place(error: BaseException) -> str:
    """Class and place of an error; never its message, which may quote a customer's row.

    >>> place(KeyError("Tenure"))
    'KeyError'
    """
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    name = type(error).__name__
    return (
        f"{name} in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno}"
        if frames
        else name
    )
