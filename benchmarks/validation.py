"""Validation of a million generated e-commerce rows against stock Great Expectations.

Ours is the whole gate (``validate_client``): text cells read by the contract, all its checks, rules
over several columns, duplicates, near copies, hashes; once more with the customers given, so that
near copies are not looked for. The peer is the obvious way to write the checks that Great
Expectations knows by itself, with COMPLETE results, on rows that are canonical already: it reads no
text and finds no copies. Each runs in a process of its own. Run it with
``python -m benchmarks.validation``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.processes import run_measured
from benchmarks.validation_stock import outcomes
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.frames import canonical_table
from fedchurn.data.sample import sample_table
from fedchurn.data.sources import RawTable, read_table
from fedchurn.quality.gate import validate_client
from fedchurn.quiet import apply_quiet_environment

SIDES = ("fedchurn", "no copies", "stock")
NUM_ROWS = 1_000_000
SEED = 7
POLL_SECONDS = 0.2
RATIOS = ("seconds", "cpu_seconds", "peak_mib")
TITLES = {
    "seconds": "seconds of validation",
    "cpu_seconds": "the same, processor time",
    "peak_mib": "peak memory, rows included, MiB",
    "num_checks": "checks",
    "num_failed": "checks that fail",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=NUM_ROWS)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        (options.folder / "result.json").write_text(json.dumps(_run(options.side, options.folder)))
        return
    record = measure(options.rows)
    print(json.dumps(record) if options.json else _table(record))


def measure(num_rows: int) -> dict[str, Any]:
    """Figures of both sides and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        _write_rows(Path(folder), num_rows)
        sides = {side: _measure(Path(folder), side) for side in SIDES}
    ours, _, theirs = sides.values()
    ratio = {key: theirs[key] / ours[key] for key in RATIOS}
    return {"num_rows": num_rows, **sides, "ratio": ratio}


def _write_rows(folder: Path, num_rows: int) -> None:
    """Raw rows (all cells text) and the same rows canonical."""
    contract = load_contract("ecommerce")
    raw = sample_table(contract, rows=num_rows, seed=SEED)
    raw.frame.to_parquet(folder / "raw.parquet")
    canonical_table(raw, contract).frame.to_parquet(folder / "canonical.parquet")


def _measure(folder: Path, side: str) -> dict[str, float]:
    environ = dict(os.environ, OMP_NUM_THREADS="1")
    apply_quiet_environment(environ)
    command = [sys.executable, "-m", "benchmarks.validation"]
    measured = run_measured(
        [*command, "--side", side, "--folder", str(folder)], environ, POLL_SECONDS
    )
    result: dict[str, float] = json.loads((folder / "result.json").read_text())
    return {**result, "peak_mib": measured.peak_mib}


def _run(side: str, folder: Path) -> dict[str, float]:
    with warnings.catch_warnings():
        # Great Expectations imports a module that Python 3.11 has deprecated (sre_constants).
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        import_module("great_expectations.expectations")  # takes seconds, on all sides
    contract = load_contract("ecommerce")
    if side == "stock":
        frame = pd.read_parquet(folder / "canonical.parquet")
        return _timed(lambda: outcomes(frame, contract))
    raw = read_table(str(folder / "raw.parquet"), contract)
    groups = np.arange(raw.num_rows) if side == "no copies" else None
    return _timed(lambda: _gate(raw, contract, groups))


def _timed(validate: Callable[[], list[bool]]) -> dict[str, float]:
    begun, cpu_begun = time.perf_counter(), time.process_time()
    passed = validate()
    return {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - cpu_begun,
        "num_checks": len(passed),
        "num_failed": passed.count(False),
    }


def _gate(raw: RawTable, contract: Contract, groups: NDArray[np.int64] | None) -> list[bool]:
    results = validate_client(raw, contract, groups=groups).report.results
    return [result.passed for result in results]


def _table(record: dict[str, Any]) -> str:
    names = "".join(f"{name:>12}" for name in (*SIDES, "ratio"))
    lines = [f"{record['num_rows']:<9} rows{'':22}{names}"]
    for key, title in TITLES.items():
        values = "".join(f"{record[side][key]:12.4g}" for side in SIDES)
        ratio = f"{record['ratio'][key]:12.2f}" if key in RATIOS else ""
        lines.append(f"{title:36}{values}{ratio}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
