"""The workers behind the metrics: what one of them uses, and what a killed one left behind.

Each worker writes files of its own into ``PROMETHEUS_MULTIPROC_DIR``. Counters of a worker that is
gone must stay, or totals would fall. Its ``live`` gauges must go: BentoML removes them when a
worker stops, but not when it is killed with -9, and then requests seem in progress for ever.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from prometheus_client import Counter
from prometheus_client.multiprocess import mark_process_dead

from fedchurn.serving.metrics.prometheus_families import Families

_STATM = Path("/proc/self/statm")


class WorkerSeries:
    """Memory and processor time of this worker.

    prometheus_client's own ``process_*`` series do not exist in multiprocess mode.
    """

    def __init__(self, families: Families) -> None:
        self._memory = families.gauge(
            "process_resident_memory_bytes",
            "Resident memory of each worker (Linux only)",
            together="liveall",
        )
        self._processor: Counter = families.counter(
            "process_cpu_seconds_total", "Processor time that the workers used"
        )
        self._told_seconds = 0.0

    def refresh(self) -> None:
        """Look again; some ten microseconds."""
        now_seconds = time.process_time()
        self._processor.inc(max(0.0, now_seconds - self._told_seconds))
        self._told_seconds = now_seconds
        num_bytes = resident_bytes()
        if num_bytes is not None:
            self._memory.set(num_bytes)


def resident_bytes() -> int | None:
    """Resident memory of this process; None where /proc is not there."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def metrics_folder() -> Path | None:
    """Where the workers' values are; None when this process keeps its values to itself."""
    named = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(named) if named else None


def forget_dead_workers() -> None:
    """Remove the ``live`` gauges of processes that are gone, BentoML's as well as ours."""
    folder = metrics_folder()
    if folder is None:
        return
    for pid in {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}:
        if pid.isdecimal() and not _is_alive(int(pid)):
            with suppress(FileNotFoundError):  # another worker, or BentoML, was quicker
                mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process: there it is
        return True
    return True
