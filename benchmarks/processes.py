"""Wall time and peak memory of a command with all the processes that it starts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

MIB = 2**20


@dataclass(frozen=True)
class Measured:
    """What a command cost.

    Attributes:
        seconds: from start to end.
        peak_mib: largest sum of memory over the process tree, in MiB; pages that processes share
            are counted once (PSS) where the system tells.
    """

    seconds: float
    peak_mib: float


def run_measured(
    command: Sequence[str], environ: Mapping[str, str], poll_seconds: float = 1.0
) -> Measured:
    """Run ``command`` to its end, looking at its memory every ``poll_seconds``.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    begun = time.perf_counter()
    peak = 0.0
    with subprocess.Popen(command, env=dict(environ)) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, tree_mib(root))
            time.sleep(poll_seconds)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return Measured(time.perf_counter() - begun, peak)


def tree_mib(root: psutil.Process) -> float:
    """Memory of a process and all that it has started, now; pages that they share once."""
    try:
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(map(_bytes, tree)) / MIB


def _bytes(process: psutil.Process) -> int:
    try:
        info = process.memory_full_info()
        return int(getattr(info, "pss", info.rss))
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return 0
