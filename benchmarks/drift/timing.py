"""Seconds of a job, wall clock and processor; the standard library alone, for peers use it, too."""

from __future__ import annotations

import time
from collections.abc import Callable


def best_seconds(job: Callable[[], object], repetitions: int) -> dict[str, float]:
    """The best of all repetitions, of ``wall`` and of ``processor`` by itself."""
    wall, processor = [], []
    for _ in range(repetitions):
        clocks = time.perf_counter(), time.process_time()
        job()
        wall.append(time.perf_counter() - clocks[0])
        processor.append(time.process_time() - clocks[1])
    return {"wall": min(wall), "processor": min(processor)}
