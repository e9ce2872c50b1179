"""``wrk``, which makes the load: one thread, bodies in turn, over loopback."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Load:
    """What a server bore.

    Attributes:
        per_second: requests answered per second.
        p50_ms: median time to an answer.
        p99_ms: 99th percentile.
        num_requests: answered requests.
        cpu_microseconds: processor time of the worker per request, where it was looked at.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    num_requests: int
    cpu_microseconds: float = math.nan


def require_wrk() -> None:
    """End the benchmark, loudly, where ``wrk`` is not installed."""
    if shutil.which("wrk") is None:
        sys.exit("benchmarks.serving needs wrk, which is not installed: nothing was measured")


def run_wrk(
    url: str, bodies: Path, num_connections: int, seconds: float, path: str = "/predict"
) -> Load:
    """Load on ``url + path`` for some (whole) seconds.

    Raises:
        RuntimeError: an answer was no 2xx, or none came.
    """
    command = ["wrk", "-t1", f"-c{num_connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "10s", "-s", str(SCRIPT), url, "--", str(bodies), path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    if told["num_errors"] or not told["num_requests"]:
        raise RuntimeError(f"{url}{path}: {told['num_errors']} errors: {done.stdout}")
    return Load(
        per_second=told["num_requests"] / told["seconds"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        num_requests=told["num_requests"],
    )
