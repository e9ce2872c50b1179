"""What a drill has seen: one line per step, when, and whether it held.

A step has a deadline and at least one check that can fail. What fails ends its step, not the
drill: the table says so, and whoever needs the step's result is not run.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from fedchurn.errors import FedchurnError
from infra import processes

T = TypeVar("T")
POLL_SECONDS = 0.1
NUM_LOG_LINES = 15
HEADLINE = f"{'seconds':>7}  {'took':>5}  {'':7}  {'step':34}  what was seen"


class State(StrEnum):
    """How a step ended."""

    HELD = "held"
    FAILED = "FAILED"
    NOT_RUN = "not run"


class StepFailed(Exception):
    """A check of a step did not hold, or not in time."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        step: what was tried.
        state: how it ended.
        begun_seconds, ended_seconds: since the start of the drill.
        seen: what was seen, in a few words.
        facts: JSON-ready evidence, such as ids.
    """

    step: str
    state: State
    begun_seconds: float
    ended_seconds: float
    seen: str
    facts: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        took = self.ended_seconds - self.begun_seconds
        return (
            f"{self.ended_seconds:7.1f}  {took:5.1f}  {self.state:7}  {self.step:34}  {self.seen}"
        )

    def markdown(self) -> str:
        first_line = self.seen.partition("\n")[0]
        cells = (f"{self.ended_seconds:.1f}", self.step, self.state.value, first_line)
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


class Step:
    """A step under way."""

    def __init__(self, name: str, begun_seconds: float, deadline_seconds: float) -> None:
        self.name = name
        self.begun_seconds = begun_seconds
        self._end = time.monotonic() + deadline_seconds
        self._deadline_seconds = deadline_seconds
        self.seen = ""
        self.facts: dict[str, Any] = {}

    @property
    def remaining_seconds(self) -> float:
        """Until the deadline, at least a moment, for calls that want a timeout."""
        return max(0.1, self._end - time.monotonic())

    def saw(self, seen: str, **facts: Any) -> None:
        """What the table is to say."""
        self.seen = seen
        self.facts |= facts

    def check(self, holds: object, otherwise: str) -> None:
        """Go on only if something holds.

        Raises:
            StepFailed: it does not.
        """
        if not holds:
            raise StepFailed(otherwise)

    def wait_for(self, look: Callable[[], T | None], what: str) -> T:
        """The first true value that ``look`` gives.

        Raises:
            StepFailed: the deadline passed before.
        """
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() >= self._end:
                raise StepFailed(f"{what}: not within {self._deadline_seconds:g} s")
            time.sleep(POLL_SECONDS)


class Timeline:
    """All steps of one drill; prints each when it ends.

    Args:
        tell: takes lines for people.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self.rows: list[Row] = []
        tell(HEADLINE)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    @contextmanager
    def step(self, name: str, deadline_seconds: float, logs: Sequence[Path] = ()) -> Iterator[Step]:
        """Run a step; a failure is written down with the ends of ``logs``, and passed on.

        Raises:
            StepFailed: the step failed, whatever the cause.
        """
        step = Step(name, self.seconds, deadline_seconds)
        try:
            yield step
            if not step.seen:
                raise StepFailed("nothing was looked at")
        except (StepFailed, FedchurnError, OSError, ValueError, LookupError) as error:
            why = (
                str(error) if isinstance(error, StepFailed) else f"{type(error).__name__}: {error}"
            )
            self._write(step, State.FAILED, why)
            for log in logs:
                self._tell(f"--- end of {log}\n{processes.last_lines(log, NUM_LOG_LINES)}\n---")
            raise StepFailed(f"{name}: {why}") from error
        self._write(step, State.HELD, step.seen)

    def not_run(self, name: str, why: str) -> None:
        """A step that could not be tried; the drill has not shown it."""
        self._write(Step(name, self.seconds, 0.0), State.NOT_RUN, why)

    def _write(self, step: Step, state: State, seen: str) -> None:
        row = Row(
            step=step.name,
            state=state,
            begun_seconds=round(step.begun_seconds, 2),
            ended_seconds=round(self.seconds, 2),
            seen=seen,
            facts=step.facts,
        )
        with self._lock:
            self.rows.append(row)
            self._tell(row.line())

    def having(self, state: State) -> list[Row]:
        return [row for row in self.rows if row.state is state]

    def write_json(self, path: Path, **more: Any) -> None:
        """The whole table, and what the drill knows beside it."""
        table = {**more, "seconds": round(self.seconds, 2), "steps": [asdict(r) for r in self.rows]}
        path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")

    def write_markdown(self, path: Path) -> None:
        """The table for a page."""
        head = ["| seconds | step | | what was seen |", "|---:|---|---|---|"]
        path.write_text("\n".join([*head, *(r.markdown() for r in self.rows)]) + "\n", "utf-8")
