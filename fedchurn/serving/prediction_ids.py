"""Ids of predictions, unique over workers, machines and restarts."""

from __future__ import annotations

import itertools
import secrets


class PredictionIds:
    """``PREFIX-NUMBER``: 80 random bits per worker, then a counter; both in hexadecimal."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(10)
        self._numbers = itertools.count(1)

    def new(self) -> str:
        """The next id, such as ``9f0c2a5b7e1d4c3a8b6f-1a``."""
        return f"{self._prefix}-{next(self._numbers):x}"
