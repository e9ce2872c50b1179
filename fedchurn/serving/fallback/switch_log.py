"""Says in the log that fallbacks answer, without a line per request."""

from __future__ import annotations

import logging
import time
import traceback

from fedchurn.serving.rare_message import Clock, RareMessage

logger = logging.getLogger("bentoml.churn.fallback")


class SwitchLog:
    """One warning per model and reason every ``interval_seconds``; what is kept back is counted."""

    def __init__(self, *, interval_seconds: float = 60.0, clock: Clock = time.monotonic) -> None:
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._messages: dict[tuple[str, str], RareMessage] = {}

    def switched(
        self, model: str, reason: str, num_rows: int, error: Exception | None = None
    ) -> None:
        """``model`` gave no answer about ``num_rows`` rows for a ``reason``."""
        message = self._messages.get((model, reason))
        if message is None:
            new = RareMessage(interval_seconds=self._interval_seconds, clock=self._clock)
            message = self._messages.setdefault((model, reason), new)
        counted = message.add(num_rows)
        if counted:
            logger.warning(
                "%s gave no answer (%s) about %d rows since the last such message; the next step "
                "of the fallback chain answered%s",
                model,
                reason,
                counted,
                f": {place(error)}" if error is not None else "",
            )


def place(error: BaseException) -> str:
    """Class and place of an error; never its message, which may quote a customer's row.

    >>> place(KeyError("Tenure"))
    'KeyError'
    """
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    name = type(error).__name__
    if not frames:
        return name
    return f"{name} in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno}"
