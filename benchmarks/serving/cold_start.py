"""From the start of the process to the first 200 on /predict, and the memory held after it."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.bundled import bundled
from benchmarks.serving.demands import Demand
from benchmarks.serving.material import Material
from benchmarks.serving.servers import CONSTANT, FASTAPI, KERAS, OURS, Running, Side, running
from benchmarks.serving.wrk import run_wrk

MIB = 2**20
BUNDLED = "fedchurn, from a bento"
LOAD_SECONDS = 2.0


def measure(
    material: Material, folder: Path, rounds: int, sides: Sequence[Side] | None = None
) -> dict[str, Any]:
    """Fastest and median start of some interleaved rounds; PSS after two seconds of load.

    The first round fills the caches of the file system and writes bytecode; it does not count.
    Processor time is that of all processes until the first answer.
    """
    if sides is None:
        sides = (OURS, bundled(material, folder, BUNDLED), CONSTANT, FASTAPI, KERAS)
    seconds: dict[str, list[float]] = defaultdict(list)
    cpu_seconds: dict[str, list[float]] = defaultdict(list)
    memory: dict[str, dict[str, float]] = {}
    for number in range(rounds + 1):
        for side in sides:
            with running(side, material, folder / f"{side.name} {number}") as server:
                if number:
                    seconds[side.name].append(server.cold_start_seconds)
                    cpu_seconds[side.name].append(sum(map(_cpu_seconds, _tree(server))))
                else:
                    run_wrk(server.url, material.bodies, 16, LOAD_SECONDS)
                    memory[side.name] = _memory(server)
    starts = {
        name: {
            "seconds": min(of),
            "median_seconds": statistics.median(of),
            "cpu_seconds": min(cpu_seconds[name]),
            **memory[name],
        }
        for name, of in seconds.items()
    }
    return {"sides": starts, "ratio": _ratios(starts)}


def demands(record: dict[str, Any]) -> list[Demand]:
    """Cold start and memory against a constant and against Keras."""
    ratio = record["ratio"]
    keras = ratio[KERAS.name]
    found = [
        Demand("cold start to that of a constant", ratio[CONSTANT.name]["seconds"], at_most=1.1),
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
    heads = ("start s, best", "median", "CPU s", "worker MiB", "tree MiB")
    lines = [f"{'':30}" + "".join(f"{head:>15}" for head in heads)]
    for name, of in record["sides"].items():
        cells = "".join(f"{of[k]:15.2f}" for k in ("seconds", "median_seconds", "cpu_seconds"))
        lines.append(f"{name:30}{cells}{of['worker_mib']:15.0f}{of['tree_mib']:15.0f}")
    return lines


def _memory(server: Running) -> dict[str, float]:
    return {
        "worker_mib": max(map(_pss_mib, server.workers)),
        "tree_mib": sum(map(_pss_mib, _tree(server))),
    }


def _tree(server: Running) -> list[psutil.Process]:
    return [server.process, *server.process.children(recursive=True)]


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _pss_mib(process: psutil.Process) -> float:
    """Memory of one process; pages that processes share are dealt out among them."""
    return float(process.memory_full_info().pss) / MIB


def _ratios(starts: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    ours = starts[OURS.name]
    keys = ("seconds", "median_seconds", "cpu_seconds", "worker_mib", "tree_mib")
    return {
        name: {key: ours[key] / of[key] for key in keys}
        for name, of in starts.items()
        if name != OURS.name
    }
