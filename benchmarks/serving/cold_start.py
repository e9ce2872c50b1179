"""From the start of the process to the first 200 on /predict, and the memory held after it."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.demands import Demand
from benchmarks.serving.material import Material
from benchmarks.serving.servers import CONSTANT, FASTAPI, KERAS, OURS, Running, Side, running
from benchmarks.serving.wrk import run_wrk

MIB = 2**20
BUNDLED = "fedchurn, from a bento"
LOAD_SECONDS = 2.0


def measure(
    material: Material, folder: Path, rounds: int, bento: Side | None = None
) -> dict[str, Any]:
    """Fastest and median start of some interleaved rounds; PSS after two seconds of load.

    The first round fills the caches of the file system and writes bytecode; it does not count.
    """
    sides = [OURS, CONSTANT, FASTAPI, KERAS, *([bento] if bento else [])]
    seconds: dict[str, list[float]] = defaultdict(list)
    memory: dict[str, dict[str, float]] = {}
    for number in range(rounds + 1):
        for side in sides:
            with running(side, material, folder / f"{side.name} {number}") as server:
                if number:
                    seconds[side.name].append(server.cold_start_seconds)
                else:
                    run_wrk(server.url, material.bodies, 16, LOAD_SECONDS)
                    memory[side.name] = _memory(server)
    starts = {name: _start(of) | memory[name] for name, of in seconds.items()}
    return {"sides": starts, "ratio": _ratios(starts)}


def demands(record: dict[str, Any]) -> list[Demand]:
    """Cold start and memory against a constant and against Keras."""
    to_constant = record["ratio"][CONSTANT.name]["seconds"]
    keras = record["ratio"][KERAS.name]
    found = [
        Demand("cold start to that of a constant", to_constant, at_most=1.1),
        Demand("cold start to that with TensorFlow", keras["seconds"], at_most=1 / 3),
        Demand("memory of the tree to that with TensorFlow", keras["tree_mib"], at_most=0.25),
        Demand("memory of the worker to that with TensorFlow", keras["worker_mib"], at_most=0.25),
    ]
    if BUNDLED in record["sides"]:
        bundled = record["sides"][BUNDLED]["seconds"] / record["sides"][CONSTANT.name]["seconds"]
        found.append(Demand("cold start of the bento to that of a constant", bundled, at_most=1.1))
    return found


def table(record: dict[str, Any]) -> list[str]:
    """The figures as lines of text."""
    heads = ("start s, best", "median", "worker MiB", "tree MiB")
    lines = [f"{'':30}" + "".join(f"{head:>15}" for head in heads)]
    for name, of in record["sides"].items():
        cells = (of["seconds"], of["median_seconds"], of["worker_mib"], of["tree_mib"])
        lines.append(f"{name:30}{cells[0]:15.2f}{cells[1]:15.2f}{cells[2]:15.0f}{cells[3]:15.0f}")
    return lines


def _start(of: Sequence[float]) -> dict[str, float]:
    return {"seconds": min(of), "median_seconds": statistics.median(of)}


def _memory(server: Running) -> dict[str, float]:
    tree = [server.process, *server.process.children(recursive=True)]
    return {
        "worker_mib": max(map(pss_mib, server.workers)),
        "tree_mib": sum(map(pss_mib, tree)),
    }


def pss_mib(process: psutil.Process) -> float:
    """Memory of one process; pages that processes share are dealt out among them."""
    return float(process.memory_full_info().pss) / MIB


def _ratios(starts: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    ours = starts[OURS.name]
    keys = ("seconds", "median_seconds", "worker_mib", "tree_mib")
    return {
        name: {key: ours[key] / of[key] for key in keys}
        for name, of in starts.items()
        if name != OURS.name
    }
