"""Explanations of one row against leave-one-out, the way of the reference system.

Leave-one-out answers again with each field replaced by its training mean, and credits the field
with the difference; here once with our model and reference row, once as reference system 4 has it
(a pandas row through a sklearn pipeline per field, means of codes included). Its contributions do
not add up: ``gap`` is how far their sum is from the difference that they explain. ``error`` is how
far ours are from Shapley values over all coalitions, for customers whose coalitions are sampled.
Each contract, model and side runs in a process of its own. Run it with
``python -m benchmarks.explanation``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from fedchurn.quiet import apply_quiet_environment

NUM_ROWS = 300
NUM_ERROR_ROWS = 10
LEAST_SECONDS = 2.0
LEAST_CALLS = 10
NUM_GAP_ROWS = 20
OURS = "fedchurn"
SIDE_NAMES = (OURS, "leave-one-out, same model", "leave-one-out, sklearn pipeline")
CONTRACT_NAMES = ("ecommerce", "telco", "telecom")
MODEL_NAMES = ("additive", "network")
TITLES = {
    "p50_microseconds": "one explanation, median, microseconds",
    "p10_microseconds": "fastest tenth, microseconds",
    "mean_gap_points": "gap, mean, points",
    "largest_gap_points": "gap, largest, points",
    "mean_error_points": "error of the worst field, mean, points",
    "largest_error_points": "error of the worst field, largest, points",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all sides and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=NUM_ROWS)
    parser.add_argument("--contracts", nargs="+", choices=CONTRACT_NAMES, default=CONTRACT_NAMES)
    parser.add_argument("--seconds", type=float, default=LEAST_SECONDS, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--side", choices=SIDE_NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--model", choices=MODEL_NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        print(json.dumps(_run(options)))
        return
    record = measure(options.rows, options.contracts, seconds=options.seconds)
    print(json.dumps(record) if options.json else _table(record))


def measure(
    num_rows: int, contracts: Sequence[str] = CONTRACT_NAMES, *, seconds: float = LEAST_SECONDS
) -> dict[str, Any]:
    """Figures per contract, model and side; ``ratio`` is the peer's median time by ours."""
    record: dict[str, Any] = {}
    for contract in contracts:
        for model in MODEL_NAMES:
            figures = {s: _measure(contract, model, s, num_rows, seconds) for s in SIDE_NAMES}
            ours = figures[OURS]["p50_microseconds"]
            ratio = {s: figures[s]["p50_microseconds"] / ours for s in SIDE_NAMES}
            record[f"{contract} {model}"] = {**figures, "ratio": ratio}
    return record


def _measure(
    contract: str, model: str, side: str, num_rows: int, seconds: float
) -> dict[str, float]:
    environ = dict(os.environ, OMP_NUM_THREADS="1")
    apply_quiet_environment(environ)
    command = [sys.executable, "-m", "benchmarks.explanation", "--contracts", contract]
    command += ["--model", model, "--side", side]
    command += ["--rows", str(num_rows), "--seconds", str(seconds)]
    done = subprocess.run(command, env=environ, check=True, text=True, stdout=subprocess.PIPE)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _run(options: argparse.Namespace) -> dict[str, float]:
    from benchmarks.explanation_error import largest_error, sampled_rows
    from benchmarks.explanation_job import make_job
    from benchmarks.explanation_sides import SIDES

    job = make_job(options.contracts[0], options.model, options.rows)
    side = SIDES[options.side](job)
    rows = job.rows[:NUM_GAP_ROWS]
    gaps = [abs(sum(side.explain(row).values()) - side.difference(row)) * 100 for row in rows]
    result = {"mean_gap_points": statistics.mean(gaps), "largest_gap_points": max(gaps)}
    if options.side == OURS:
        errors = [largest_error(job, row) * 100 for row in sampled_rows(job)[:NUM_ERROR_ROWS]]
        if errors:
            result["mean_error_points"] = statistics.mean(errors)
            result["largest_error_points"] = max(errors)
    return {**_microseconds(side.explain, job.rows, options.seconds), **result}


def _microseconds(
    explain: Callable[[Any], object], rows: Sequence[Any], least_seconds: float
) -> dict[str, float]:
    """Median, and the limit of the fastest tenth, which other work on the machine hardly moves."""
    durations: list[int] = []
    end = time.perf_counter_ns() + least_seconds * 1e9
    for row in itertools.cycle(rows):
        begun = time.perf_counter_ns()
        explain(row)
        durations.append(time.perf_counter_ns() - begun)
        if begun > end and len(durations) > LEAST_CALLS:
            break
    return {
        "p50_microseconds": statistics.median(durations) / 1000,
        "p10_microseconds": statistics.quantiles(durations, n=10)[0] / 1000,
    }


def _table(record: dict[str, Any]) -> str:
    lines = []
    for name, figures in record.items():
        lines.append(name)
        for side in SIDE_NAMES:
            lines.append(f"  {side} (ratio {figures['ratio'][side]:.1f})")
            shown = [(title, figures[side].get(key)) for key, title in TITLES.items()]
            lines += [f"    {title:50}{value:12.4g}" for title, value in shown if value is not None]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
