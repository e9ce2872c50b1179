"""Part 7: a reference of ten million rows, read in chunks: memory does not grow with rows.

``python -m benchmarks.drift.memory FOLDER ROWS`` is the job of one size, in a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift.environments import PROJECT
from benchmarks.drift.populations import as_columns
from benchmarks.drift.references import contract_of, make_reference
from benchmarks.drift.stored import read_windows
from benchmarks.serving.demands import Demand
from fedchurn.drift.check import check_rows
from fedchurn.drift.histogram import Histogram, add_histograms

CHUNK_ROWS = 100_000
WINDOW_ROWS = 10_000
ROWS = (100_000, 10_000_000)
_MOST_MORE_MIB = 64.0


def measure(folder: Path, most_rows: int = ROWS[1]) -> dict[str, Any]:
    """Peak memory and seconds of a small and of a large reference; ``folder`` as of ``speed``."""
    return {"jobs": [_run(folder, rows) for rows in (ROWS[0], most_rows)]}


def _run(folder: Path, rows: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.drift.memory", str(folder), str(rows)]
    result = subprocess.run(command, cwd=PROJECT, check=True, text=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Read a reference in chunks, check one window, print what it cost."""
    folder, rows = arguments or sys.argv[1:]
    windows = read_windows(Path(folder))
    meta, contract = windows.meta, contract_of(windows.meta)
    empty = make_reference(windows.population[:1000], meta, contract)
    generator = np.random.default_rng(0)
    total: dict[str, Histogram] = {}
    reading = 0.0
    for _ in range(0, int(rows), CHUNK_ROWS):
        places = generator.integers(len(windows.population), size=CHUNK_ROWS)
        columns = as_columns(windows.population[places], meta.names, meta.num_labels)
        begun = time.perf_counter()
        found = empty.histograms_of(columns)
        total = add_histograms([total, found]) if total else found
        reading += time.perf_counter() - begun
    reference = _with(empty, total, int(rows))
    window = windows.population[generator.integers(len(windows.population), size=WINDOW_ROWS)]
    columns = as_columns(window, meta.names, meta.num_labels)
    begun = time.perf_counter()
    verdict = check_rows(reference, columns)
    checking = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "rows": int(rows),
                "peak_mib": peak,
                "reading_seconds": reading,
                "check_seconds": checking,
                "verdict": str(verdict.verdict),
            }
        )
    )


def _with(empty: Any, histograms: dict[str, Histogram], num_rows: int) -> Any:
    from dataclasses import replace

    columns = tuple(
        replace(one, histogram=histograms[one.name], effective_fraction=1.0)
        for one in empty.columns
    )
    return replace(empty, columns=columns, num_rows=num_rows)


def table(record: dict[str, Any]) -> list[str]:
    """One line per size."""
    lines = [f"{'reference rows':>16}{'peak MiB':>10}{'reading, s':>12}{'check, s':>10}  verdict"]
    for job in record["jobs"]:
        lines.append(
            f"{job['rows']:16}{job['peak_mib']:10.0f}{job['reading_seconds']:12.2f}"
            f"{job['check_seconds']:10.4f}  {job['verdict']}"
        )
    return lines


def demands(record: dict[str, Any]) -> list[Demand]:
    """A hundred times the rows cost next to no more memory."""
    small, large = record["jobs"]
    more = large["peak_mib"] - small["peak_mib"]
    what = f"MiB more for {large['rows']} rows than for {small['rows']}"
    return [Demand(what, more, at_most=_MOST_MORE_MIB)]


if __name__ == "__main__":
    main()
