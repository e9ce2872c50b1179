"""Requests per second and waiting times, all servers up at once and loaded in turn."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.serving.demands import Demand
from benchmarks.serving.material import Material
from benchmarks.serving.servers import FASTAPI, OURS, STOCK, STOCK_QUIET, Running, running
from benchmarks.serving.wrk import Load, run_wrk

SIDES = (OURS, FASTAPI, STOCK, STOCK_QUIET)
CONNECTIONS = (1, 16, 64)
WARM_UP_SECONDS = 1.0


def measure(material: Material, folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Best of some interleaved rounds per side and number of connections.

    Best is the highest rate and the lowest of everything else in any round: what other work on the
    machine spoils is left out, for all sides alike. Processor time per request, of the worker with
    all its threads, is what such work spoils least.
    """
    loads: dict[str, dict[int, list[Load]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        servers = {
            side.name: stack.enter_context(running(side, material, folder / side.name))
            for side in SIDES
        }
        for server in servers.values():
            run_wrk(server.url, material.bodies, 16, WARM_UP_SECONDS)
        for _ in range(rounds):
            _round(servers, material, seconds, loads)
    best = {name: {str(c): asdict(_best(of)) for c, of in by.items()} for name, by in loads.items()}
    return {"sides": best, "ratio": _ratios(best)}


def demands(record: dict[str, Any]) -> list[Demand]:
    """What is asked of 64 connections."""
    sides, most = record["sides"], str(max(CONNECTIONS))
    ours = sides[OURS.name][most]
    theirs = sides[FASTAPI.name][most]
    ratio = {side.name: record["ratio"][side.name][most] for side in SIDES[1:]}
    at = f"at {most} connections"
    return [
        Demand(f"requests/s to FastAPI's {at}", ratio[FASTAPI.name], at_least=2.5),
        Demand(f"requests/s to stock BentoML's {at}", ratio[STOCK.name], at_least=10.0),
        Demand(f"p99 to FastAPI's {at}", ours["p99_ms"] / theirs["p99_ms"], at_most=1.0),
    ]


def table(record: dict[str, Any]) -> list[str]:
    """The figures as lines of text."""
    heads = (f"{f'{c} conn.: rps':>16}{'p50 ms':>8}{'p99 ms':>8}{'CPU us':>8}" for c in CONNECTIONS)
    lines = [f"{'':30}{''.join(heads)}"]
    for name, by in record["sides"].items():
        cells = (by[str(c)] for c in CONNECTIONS)
        lines.append(f"{name:30}{''.join(map(_cells, cells))}")
    for name, by in record["ratio"].items():
        ratios = "".join(f"{by[str(c)]:16.2f}{'':24}" for c in CONNECTIONS)
        lines.append(f"{f'x {name}':30}{ratios}".rstrip())
    return lines


def _cells(of: dict[str, float]) -> str:
    rates = f"{of['per_second']:16,.0f}{of['p50_ms']:8.2f}{of['p99_ms']:8.2f}"
    return f"{rates}{of['cpu_microseconds']:8.0f}"


def _round(
    servers: dict[str, Running],
    material: Material,
    seconds: float,
    loads: dict[str, dict[int, list[Load]]],
) -> None:
    for num_connections in CONNECTIONS:
        for name, server in servers.items():
            cpu_seconds = server.cpu_seconds()
            load = run_wrk(server.url, material.bodies, num_connections, seconds)
            cost = (server.cpu_seconds() - cpu_seconds) / load.num_requests * 1e6
            loads[name][num_connections].append(replace(load, cpu_microseconds=cost))


def _best(of: list[Load]) -> Load:
    return Load(
        per_second=max(load.per_second for load in of),
        p50_ms=min(load.p50_ms for load in of),
        p99_ms=min(load.p99_ms for load in of),
        num_requests=sum(load.num_requests for load in of),
        cpu_microseconds=min(load.cpu_microseconds for load in of),
    )


def _ratios(best: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    ours = best[OURS.name]
    return {
        name: {c: ours[c]["per_second"] / load["per_second"] for c, load in by.items()}
        for name, by in best.items()
        if name != OURS.name
    }
