"""Rounds of the reference recipe against Flower's TensorFlow quickstart.

3 clients, 20 rounds, batch 8, Adam 0.01, network 64-.3-32-.2-1 on 30 inputs, about 1250 generated
rows per client; same rows, first weights and seed on both sides, each in a process of its own.
Run it with ``python -m benchmarks.rounds``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.processes import run_measured
from fedchurn.quiet import apply_quiet_environment

SIDES = ("fedchurn", "quickstart")
WARM_ROUNDS = 3  # imports and compilation fall into the first round, stragglers into the next


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        _train(options.side, options.into)
        return
    results = {side: _measure(side) for side in SIDES}
    record = {**results, "ratio": _ratios(results)}
    print(json.dumps(record) if options.json else _table(record))


def _train(side: str, into: Path) -> None:
    if side == "fedchurn":
        from benchmarks.rounds_fedchurn import train
    else:
        from benchmarks.rounds_quickstart import train
    from benchmarks.rounds_job import log_loss

    weights, ticks = train(into.parent)
    rounds = [after - before for before, after in pairwise(ticks)]
    result = {
        "first_round_seconds": rounds[0],
        "later_rounds_seconds": sum(rounds[1:]),
        "steady_round_seconds": statistics.median(rounds[WARM_ROUNDS:]),
        "test_log_loss": log_loss(weights),
    }
    into.write_text(json.dumps(result))


def _measure(side: str) -> dict[str, float]:
    """Run one side in a process of its own; seconds and MiB."""
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "result.json"
        environ = dict(os.environ)
        apply_quiet_environment(environ)
        environ.update(FLWR_HOME=folder, FLWR_LOG_LEVEL="ERROR", TF_CPP_MIN_LOG_LEVEL="3")
        command = [sys.executable, "-m", "benchmarks.rounds", "--side", side, "--into", str(into)]
        measured = run_measured(command, environ)
        result: dict[str, float] = json.loads(into.read_text())
    return {"total_seconds": measured.seconds, **result, "peak_mib": measured.peak_mib}


def _ratios(results: dict[str, dict[str, float]]) -> dict[str, float]:
    ours, theirs = (results[side] for side in SIDES)
    keys = ("total_seconds", "later_rounds_seconds", "steady_round_seconds", "peak_mib")
    return {key: theirs[key] / ours[key] for key in keys}


def _table(record: dict[str, dict[str, float]]) -> str:
    rows = {
        "total seconds, imports and start-up included": "total_seconds",
        "seconds of round 1: imports, compilation": "first_round_seconds",
        "seconds of rounds 2 to 20": "later_rounds_seconds",
        "seconds per steady round (median)": "steady_round_seconds",
        "peak memory, MiB": "peak_mib",
        "log loss on unseen rows": "test_log_loss",
    }
    lines = [f"{'':46}{'fedchurn':>12}{'quickstart':>12}{'ratio':>9}"]
    for title, key in rows.items():
        ours, theirs = (record[side][key] for side in SIDES)
        ratio = f"{record['ratio'][key]:9.1f}" if key in record["ratio"] else ""
        lines.append(f"{title:46}{ours:12.4g}{theirs:12.4g}{ratio}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
