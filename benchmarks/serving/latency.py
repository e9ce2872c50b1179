"""Explained rows, batches, and memory over many requests: our service alone."""

from __future__ import annotations

import json
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.serving.demands import Demand
from benchmarks.serving.http_client import Client
from benchmarks.serving.material import Material, customers
from benchmarks.serving.servers import OURS, Running, running
from benchmarks.serving.wrk import run_wrk

BATCH_ROWS = 1000
NUM_EXPLAINED, NUM_BATCHES = 1000, 100
NUM_REQUESTS = 200_000
WARM_REQUESTS = 50_000
SAMPLE_SECONDS = 0.1
MIB = 2**20


def measure(
    material: Material, folder: Path, num_requests: int = NUM_REQUESTS, fraction: float = 1.0
) -> dict[str, Any]:
    """Waiting times over one kept connection, and the slope of memory while ``wrk`` asks.

    Args:
        material: what is asked.
        folder: for the server.
        num_requests: over which memory must be flat.
        fraction: of the usual number of timed requests.
    """
    bodies = material.bodies.read_bytes().splitlines()
    rows = customers(material.release.contract, BATCH_ROWS)
    batch = json.dumps({"customers": rows}).encode()
    with running(OURS, material, folder) as server:
        client = Client(server.port)
        num_explained, num_batches = int(NUM_EXPLAINED * fraction), int(NUM_BATCHES * fraction)
        explained = [bodies[i % len(bodies)] for i in range(num_explained)]
        return {
            "explained": _timed(client, "/predict?explain=true", explained),
            "batch": _timed(client, "/predict/batch", [batch] * num_batches),
            "memory": _memory(server, material, num_requests),
        }


def demands(record: dict[str, Any]) -> list[Demand]:
    """Upper limits in milliseconds and MiB."""
    grown = record["memory"]["grown_mib"]
    return [
        Demand("one explained row, p50, ms", record["explained"]["p50_ms"], at_most=5.0),
        Demand(f"{BATCH_ROWS} rows of JSON, p50, ms", record["batch"]["p50_ms"], at_most=25.0),
        Demand(f"memory grown over {NUM_REQUESTS} requests, MiB", grown, at_most=2.0),
    ]


def table(record: dict[str, Any]) -> list[str]:
    """The figures as lines of text."""
    lines = []
    for title, key in (("one explained row", "explained"), (f"{BATCH_ROWS} rows", "batch")):
        of = record[key]
        lines.append(f"{title:30}p50 {of['p50_ms']:8.2f} ms   p99 {of['p99_ms']:8.2f} ms")
    memory = record["memory"]
    lines.append(
        f"{'memory of the worker':30}{memory['first_mib']:.1f} MiB after "
        f"{WARM_REQUESTS} requests, {memory['last_mib']:.1f} after {memory['num_requests']}"
    )
    return lines


def _timed(client: Client, path: str, bodies: list[bytes]) -> dict[str, float]:
    milliseconds = []
    for body in bodies:
        begun = time.perf_counter()
        status, answer = client.post(path, body)
        milliseconds.append((time.perf_counter() - begun) * 1000.0)
        if status != 200:
            raise RuntimeError(f"{path} answers {status}: {answer[:500]!r}")
    cuts = statistics.quantiles(milliseconds, n=100)
    return {"p50_ms": cuts[49], "p99_ms": cuts[98]}


def _memory(server: Running, material: Material, num_requests: int) -> dict[str, float]:
    """Resident memory by requests answered: a line through what comes after warming up."""
    (worker,) = server.workers
    done, points, told = 0, [], _Sampler(worker)
    while done < num_requests + WARM_REQUESTS:
        load, samples = told.while_running(lambda: run_wrk(server.url, material.bodies, 16, 2))
        # Requests come evenly enough within two seconds.
        shares = np.linspace(0, 1, len(samples))
        points += [(done + s * load.num_requests, m) for s, m in zip(shares, samples, strict=True)]
        done += load.num_requests
    warm = np.array([point for point in points if point[0] >= WARM_REQUESTS])
    slope, height = np.polyfit(warm[:, 0], warm[:, 1], 1)
    return {
        "num_requests": done,
        "first_mib": float(height + slope * WARM_REQUESTS),
        "last_mib": float(height + slope * done),
        "grown_mib": float(slope * NUM_REQUESTS),
    }


class _Sampler:
    """Looks at a process's resident memory while something runs."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    def while_running(self, run: Any) -> tuple[Any, list[float]]:
        """What ``run`` gives, and MiB every ``SAMPLE_SECONDS``."""
        samples: list[float] = []
        over = threading.Event()

        def sample() -> None:
            while not over.wait(SAMPLE_SECONDS):
                samples.append(self._process.memory_info().rss / MIB)

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            return run(), samples
        finally:
            over.set()
            thread.join()
