"""What one side notes while it plays its rounds; numpy and the standard library, for peers use it.

A side is run as ``python -m benchmarks.federation.SIDE JOB INTO --rounds N --seconds S``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.federation.stored import Job, load_job

KEPT_ROUNDS = (1, 3, 5, 10, 20, 50, 100)
"""Rounds whose weights are kept."""

LEAST_ROUNDS = 3  # however little time there is


class Course:
    """The clock of one side; seconds that it takes to keep weights are not counted.

    Args:
        into: file for the result, JSON; the weights go beside it.
        num_rounds: rounds at most.
        limit_seconds: no round begins later than so long after the first one.
    """

    def __init__(self, into: Path, num_rounds: int, limit_seconds: float) -> None:
        self._into = into
        self._num_rounds = num_rounds
        self._limit_seconds = limit_seconds
        self._rounds: list[float] = []
        self._processor: list[float] = []
        self._kept: dict[str, np.ndarray[Any, Any]] = {}
        self._begun = self._since = self._spent = 0.0
        self._facts: dict[str, Any] = {}

    def begin(self) -> None:
        """Imports, reading and building are done; round 1 starts now."""
        self._spent = processor_seconds()
        self._begun = self._since = time.perf_counter()
        self._facts["start_seconds"] = time.time() - float(os.environ["BENCH_BEGUN"])

    def tell(self, **facts: Any) -> None:
        """Add to the result."""
        self._facts.update(facts)

    def round_done(self, weights: Callable[[], Sequence[Any]]) -> bool:
        """Note a round; whether another one shall be played."""
        now = time.perf_counter()
        self._rounds.append(now - self._since)
        self._processor.append(processor_seconds() - self._spent)
        done = len(self._rounds)
        if done in KEPT_ROUNDS:
            for number, array in enumerate(weights()):
                self._kept[f"{done}_{number}"] = np.asarray(array, dtype=np.float32)
        late = now - self._begun > self._limit_seconds and done >= LEAST_ROUNDS
        more = done < self._num_rounds and not late
        if not more:
            self._save()
        self._spent = processor_seconds()
        self._since = time.perf_counter()
        return more

    def _save(self) -> None:
        np.savez(self._into.with_suffix(".npz"), **self._kept)
        rounds = {"round_seconds": self._rounds, "processor_seconds": self._processor}
        self._into.write_text(json.dumps({**self._facts, **rounds}))


def processor_seconds() -> float:
    """Of this process and all that it has started, as far as they still run."""
    parents: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            parents[int(path.parent.name)] = int(fields[1]), ticks / os.sysconf("SC_CLK_TCK")
    return sum(seconds for pid, (_, seconds) in parents.items() if _descends(pid, parents))


def _descends(pid: int, parents: dict[int, tuple[int, float]]) -> bool:
    while pid in parents and pid != os.getpid():
        pid = parents[pid][0]
    return pid == os.getpid()


def run_side(play: Callable[[Job, Course], None]) -> None:
    """Read the command line and the job, and play."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    course = Course(options.into, options.rounds, options.seconds)
    play(load_job(options.job), course)
