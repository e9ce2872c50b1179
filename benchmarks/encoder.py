"""Our encoder against sklearn's ColumnTransformer on generated e-commerce rows.

Both give the same inputs (checked): scaled numbers or a piecewise-linear basis (SplineTransformer
of degree 1), missing flags, one-hot categories. They start from categories that are coded already,
or from text. A million rows are encoded in chunks, whose inputs are dropped at once, or as a whole.
Each side, basis and start runs in a process of its own. Run it with
``python -m benchmarks.encoder``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.encoder_job import BASES, FIT_ROWS, columns_of, read_job, write_rows
from benchmarks.processes import run_measured
from fedchurn.quiet import apply_quiet_environment

SIDES = ("fedchurn", "sklearn")
STARTS = ("codes", "labels", "whole")
NUM_ROWS = 1_000_000
CHUNK_ROWS = 50_000
DIFFERENT_ROWS = 500
ROW_SECONDS = 2.0  # spent on one-row calls
REPEATS = 3
POLL_SECONDS = 0.1
TITLES = {
    "row_microseconds": "one row, median, microseconds",
    "row_p10_microseconds": "one row, fastest tenth, microseconds",
    "table_seconds": "all rows, seconds (best of 3)",
    "table_cpu_seconds": "all rows, processor seconds (best of 3)",
    "peak_mib": "peak memory, MiB",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both sides and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=NUM_ROWS)
    parser.add_argument("--chunk-rows", type=int, default=CHUNK_ROWS)
    parser.add_argument("--row-seconds", type=float, default=ROW_SECONDS, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--basis", choices=BASES, help=argparse.SUPPRESS)
    parser.add_argument("--start", choices=STARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        _encode(options)
        return
    record = measure(options.rows, options.chunk_rows)
    print(json.dumps(record) if options.json else _table(record))


def measure(
    num_rows: int,
    chunk_rows: int,
    *,
    starts: Sequence[str] = STARTS,
    row_seconds: float = ROW_SECONDS,
) -> dict[str, Any]:
    """Figures of both sides per basis and start, their ratios, and the largest difference."""
    record: dict[str, Any] = {"num_rows": num_rows, "chunk_rows": chunk_rows}
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder), num_rows)
        for basis in BASES:
            record[basis] = {"largest_difference": _difference(Path(folder), basis)}
            for start in starts:
                job = ["--basis", basis, "--start", start, "--chunk-rows", str(chunk_rows)]
                job += ["--row-seconds", str(row_seconds)]
                sides = {side: _measure(Path(folder), side, job) for side in SIDES}
                record[basis][start] = {**sides, "ratio": _ratios(sides)}
    return record


def _difference(folder: Path, basis: str) -> float:
    from benchmarks.encoder_peer import fitted_transformer, largest_difference

    job = read_job(folder, basis, has_labels=True)
    peer = fitted_transformer(job, basis).transform(job.rows.head(FIT_ROWS))
    ours = job.encoder.encode(columns_of(job.fitted))
    return largest_difference(job, basis, peer, ours)


def _measure(folder: Path, side: str, job: Sequence[str]) -> dict[str, float]:
    """Run one side in a process of its own; microseconds, seconds and MiB."""
    environ = dict(os.environ, OMP_NUM_THREADS="1")
    apply_quiet_environment(environ)
    command = [sys.executable, "-m", "benchmarks.encoder", "--folder", str(folder)]
    command += ["--side", side, *job]
    measured = run_measured(command, environ, POLL_SECONDS)
    result: dict[str, float] = json.loads((folder / "result.json").read_text())
    return {**result, "peak_mib": measured.peak_mib}


def _encode(options: argparse.Namespace) -> None:
    if options.side == "fedchurn":
        from benchmarks.encoder_fedchurn import one_row_calls, table_call
    else:
        from benchmarks.encoder_sklearn import one_row_calls, table_call
    job = read_job(options.folder, options.basis, has_labels=options.start == "labels")
    calls = one_row_calls(job, options.basis, DIFFERENT_ROWS)
    chunk_rows = len(job.rows) if options.start == "whole" else options.chunk_rows
    table = table_call(job, options.basis, chunk_rows)
    result = {**_row_microseconds(calls, options.row_seconds), **_table_seconds(table)}
    (options.folder / "result.json").write_text(json.dumps(result))


def _row_microseconds(
    calls: Sequence[Callable[[], object]], least_seconds: float
) -> dict[str, float]:
    """Median, and the limit of the fastest tenth, which other work on the machine hardly moves."""
    durations: list[int] = []
    while sum(durations) < least_seconds * 1e9:
        for call in calls:
            begun = time.perf_counter_ns()
            call()
            durations.append(time.perf_counter_ns() - begun)
    tenth = statistics.quantiles(durations, n=10)[0]
    return {
        "row_microseconds": statistics.median(durations) / 1000,
        "row_p10_microseconds": tenth / 1000,
    }


def _table_seconds(call: Callable[[], object]) -> dict[str, float]:
    """Least of some repeats, wall clock and processor time."""
    walls, cpus = [], []
    for _ in range(REPEATS):
        begun, cpu_begun = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - begun)
        cpus.append(time.process_time() - cpu_begun)
    return {"table_seconds": min(walls), "table_cpu_seconds": min(cpus)}


def _ratios(sides: dict[str, dict[str, float]]) -> dict[str, float]:
    ours, theirs = (sides[side] for side in SIDES)
    return {key: theirs[key] / ours[key] for key in TITLES}


def _table(record: dict[str, Any]) -> str:
    starts = {
        "codes": "from codes",
        "labels": "from text",
        "whole": "from codes, as a whole",
    }
    lines = [
        f"{record['num_rows']} rows in chunks of {record['chunk_rows']}",
        f"{'':66}{'fedchurn':>12}{'sklearn':>12}{'ratio':>9}",
    ]
    for basis in BASES:
        lines.append(f"{basis} (largest difference {record[basis]['largest_difference']:.1e})")
        for start in STARTS:
            sides = record[basis][start]
            lines += [_row(f"  {starts[start]}: {t}", sides, k) for k, t in _titles(start)]
    return "\n".join(lines)


def _titles(start: str) -> list[tuple[str, str]]:
    """Key and words of each line; one row does not care how many are encoded at once."""
    return [(k, t) for k, t in TITLES.items() if start != "whole" or not k.startswith("row")]


def _row(title: str, sides: dict[str, dict[str, float]], key: str) -> str:
    ours, theirs = (sides[side][key] for side in SIDES)
    return f"{title:66}{ours:12.4g}{theirs:12.4g}{sides['ratio'][key]:9.1f}"


if __name__ == "__main__":
    main()
