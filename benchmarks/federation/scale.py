"""A thousand simulated clients: rounds of every peer beside ours, in one run.

Quick sides are run several times, in turn, and the best run of each is shown. tensorflow-federated
and Ray get a few rounds only, and Ray a cohort: their totals are reckoned from steady rounds, which
the table marks with "~".
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.drift.environments import PeerMissingError
from benchmarks.federation.job import sizes_in_words, stored_job
from benchmarks.federation.report import conclude, part_parser, show
from benchmarks.federation.sides import Run, Side, run_side
from benchmarks.serving.demands import Demand

OURS = "Fedchurn, simulation"
FEDJAX = "fedjax"
RAY_NEW = "Flower on Ray, new model"
RAY_KEPT = "Flower on Ray, kept model"
SIDES = (
    Side(OURS, "ours", repeats=3),
    Side(FEDJAX, "peer_fedjax", "fedjax", repeats=3),
    Side("pfl", "peer_pfl", "pfl", num_rounds=100, limit_seconds=400),
    Side("tensorflow-federated", "peer_tff", "tff", num_rounds=10, limit_seconds=300),
    Side(RAY_KEPT, "peer_flower", "flower", "kept", num_rounds=6, limit_seconds=240, cohort=100),
    Side(RAY_NEW, "peer_flower", "flower", "new", num_rounds=4, limit_seconds=240, cohort=40),
)
CLIENTS = (100, 1000)
MANY_CLIENTS = 1000
MANY = {FEDJAX: 2.0, RAY_NEW: 50.0, RAY_KEPT: 50.0}
"""Least ratio per client-round where there are many clients; else and elsewhere 1."""

SAME_AUC = 0.015  # about one standard error of an AUC on the held-out rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every demand holds (unless quick)."""
    parser = part_parser(__doc__)
    parser.add_argument("--clients", nargs="+", type=int, default=list(CLIENTS))
    parser.add_argument("--work", type=Path, help="folder to keep the job in")
    parser.add_argument("--only", nargs="+", help="words in the titles of sides, besides ours")
    options = parser.parse_args(arguments)
    record, broken = {}, []
    with tempfile.TemporaryDirectory(prefix="fedchurn-federation-") as temporary:
        folder = Path(options.work or temporary)
        for num_clients in options.clients:
            job = stored_job(folder, options.data_dir, num_clients)
            runs, missing = _measure(_sides(options), job, folder, folder / "peers")
            lines = [sizes_in_words(job), _load(), *table(runs), *missing]
            found = demands(runs, missing, MANY if num_clients >= MANY_CLIENTS else {})
            broken += show(lines, found, options)
            told = {title: asdict(run) for title, run in runs.items()}
            record[num_clients] = {"runs": told, "missing": missing}
    return conclude(record, broken, options)


def _load() -> str:
    return f"{os.cpu_count()} processors, load {', '.join(f'{x:.1f}' for x in os.getloadavg())}"


def _sides(options: argparse.Namespace) -> list[Side]:
    only = options.only or [""]
    sides = [s for s in SIDES if s.title == OURS or any(w in s.title for w in only)]
    if not options.quick:
        return sides
    short = [replace(s, num_rounds=min(s.num_rounds, 10), repeats=1) for s in sides]
    return [replace(side, limit_seconds=20) for side in short]


def _measure(
    sides: list[Side], job: Path, folder: Path, peers: Path
) -> tuple[dict[str, Run], list[str]]:
    runs: dict[str, Run] = {}
    missing: dict[str, str] = {}
    for turn in range(max(side.repeats for side in sides)):
        for side in sides:
            if turn >= side.repeats or side.title in missing:
                continue
            try:
                run = run_side(side, job, folder, peers)
            except PeerMissingError as error:
                missing[side.title] = f"MISSING: {side.title}: {error}"
                continue
            known = runs.get(side.title)
            if known is None or run.steady_seconds < known.steady_seconds:
                runs[side.title] = run
    return runs, list(missing.values())


def table(runs: dict[str, Run]) -> list[str]:
    """One line per side."""
    heads = ("", "s per round", "start, s", "100 rounds, s", "clients/s", "ms wall", "ms CPU")
    lines = [_line((*heads, "MiB", "AUC"))]
    for title, run in runs.items():
        about = "~" if run.is_reckoned else ""
        part = "~" if run.cohort < run.num_clients else ""
        last = max(run.auc)
        cells = (
            title,
            f"{part}{run.round_seconds:.3g}",
            f"{run.start_seconds:.1f}",
            f"{about}{run.total_seconds:.4g}",
            f"{1000 / run.client_milliseconds:.4g}",
            f"{run.client_milliseconds:.3g}",
            f"{run.processor_milliseconds:.3g}",
            f"{run.peak_mib:.0f}",
            " ".join(f"{run.auc[n]:.3f}@{n}" for n in sorted({3, 10, last} & set(run.auc))),
        )
        lines.append(_line(cells))
    return lines


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def demands(
    runs: dict[str, Run], missing: Sequence[str], least: Mapping[str, float]
) -> list[Demand]:
    """What is asked; a peer that is missing breaks its demand."""
    found = [Demand("peers that could not be run", len(missing), at_most=0)]
    ours = runs.get(OURS)
    if ours is None:
        return found
    for title, run in runs.items():
        if title == OURS:
            continue
        ratio = run.client_milliseconds / ours.client_milliseconds
        found.append(
            Demand(f"times as fast as {title}, per client-round", ratio, least.get(title, 1.0))
        )
    share = ours.message_processor_share
    found.append(Demand("processor seconds of messages by those of training", share, at_most=1.0))
    found.append(
        Demand("wall seconds of messages by those of training", ours.message_share, at_most=1.0)
    )
    found += _learning(ours, runs)
    return found


def _learning(ours: Run, runs: dict[str, Run]) -> list[Demand]:
    """Sides whose rounds take all clients have learnt as much after equally many rounds."""
    found = []
    for title, run in runs.items():
        common = set(run.auc) & set(ours.auc)
        if title != OURS and run.cohort == run.num_clients and common:
            last = max(common)
            gap = abs(run.auc[last] - ours.auc[last])
            what = f"AUC after {last} rounds, apart from {title}"
            found.append(Demand(what, gap, at_most=SAME_AUC))
    return found


if __name__ == "__main__":
    sys.exit(main())
