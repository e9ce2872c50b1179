"""Models for the fallback chain that fail on purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.conditions import Value

Row = Mapping[str, Value]
WAIT_SECONDS = 60.0  # far more than anything here takes


class ScriptedModel:
    """Answers each row with what ``script`` makes of it, and counts how often it is asked."""

    def __init__(self, script: Callable[[Row], float]) -> None:
        self._script = script
        self.num_calls = 0

    def one(self, values: Row) -> float:
        self.num_calls += 1
        return self._script(values)

    def many(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        self.num_calls += 1
        return np.array([self._script(row) for row in rows])


class StuckModel(ScriptedModel):
    """Does not answer before ``release`` is set; then gives 0.25."""

    def __init__(self) -> None:
        super().__init__(self._wait)
        self.release = threading.Event()
        self.begun = threading.Semaphore(0)

    def _wait(self, row: Row) -> float:
        self.begun.release()
        assert self.release.wait(WAIT_SECONDS)
        return 0.25


def always(probability: float) -> ScriptedModel:
    return ScriptedModel(lambda row: probability)


def broken() -> ScriptedModel:
    def refuse(row: Row) -> float:
        raise RuntimeError(f"cannot bear {dict(row)}")

    return ScriptedModel(refuse)
