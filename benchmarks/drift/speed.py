"""Part 6: one check of 18 columns, a window of 10 000 rows against 100 000, in one run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift.environments import PeerMissingError
from benchmarks.drift.peers import peer_seconds
from benchmarks.drift.populations import Population, as_columns
from benchmarks.drift.references import contract_of, make_reference
from benchmarks.drift.shifts import shift_rows
from benchmarks.drift.stored import NONE, Meta, folder_name, read_windows, write_meta
from benchmarks.drift.timing import best_seconds
from benchmarks.serving.demands import Demand
from fedchurn.contract.columns import Columns
from fedchurn.drift.check import check_rows
from fedchurn.drift.reference import DriftReference

SIZE = (100_000, 10_000)
REPETITIONS = 25  # the best of all counts, on every side
_OURS = "Fedchurn"


def measure(population: Population, folder: Path, environments: Path) -> dict[str, Any]:
    """Best seconds by side and job; peers that cannot be had are left out."""
    windows = _store(population, folder)
    seconds = {_OURS: _ours(population, folder)}
    for peer, repetitions in {"alibi": REPETITIONS, "evidently": 5, "nannyml": 5}.items():
        try:
            title, found = peer_seconds(peer, windows, environments, repetitions)
        except PeerMissingError as error:
            print(f"SKIPPED: {error}", file=sys.stderr)
            continue
        seconds[title] = found
    return {"seconds": seconds}


def _store(population: Population, folder: Path) -> Any:
    contract = population.contract
    folder.mkdir(parents=True, exist_ok=True)
    meta = Meta(contract.contract, population.names, population.num_labels, (SIZE,), ())
    write_meta(folder, meta)
    np.save(folder / "population.npy", population.rows)
    into = folder / folder_name(SIZE)
    into.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    np.save(into / "references.npy", population.draw(generator, (1, SIZE[0])))
    np.save(into / f"{NONE}.npy", population.draw(generator, (1, SIZE[1])))
    return read_windows(folder)


def _ours(population: Population, folder: Path) -> dict[str, dict[str, float]]:
    """From canonical rows to the verdict; of the window alone, or of both sides."""
    windows = read_windows(folder)
    meta, contract = windows.meta, contract_of(windows.meta)
    check = next(windows.checks(SIZE))
    known = as_columns(check.reference, meta.names, meta.num_labels)
    reference = make_reference(check.reference, meta, contract)
    moved = shift_rows(
        check.window,
        population,
        next(iter(population.contract.sample.scenarios.values())),
        np.random.default_rng(0),
    )
    sides = {
        "window": as_columns(check.window, meta.names, meta.num_labels),
        "window of which most columns drifted": as_columns(moved, meta.names, meta.num_labels),
    }
    found = {}
    for title, columns in sides.items():

        def alone(columns: Columns = columns) -> None:
            check_rows(reference, columns)

        def whole(columns: Columns = columns) -> None:
            check_rows(reread(reference, known), columns)

        found[f"{title} alone"] = best_seconds(alone, REPETITIONS)
        found[f"reference and {title}"] = best_seconds(whole, REPETITIONS)
    return found


def reread(reference: DriftReference, columns: Columns) -> DriftReference:
    """The same columns and edges over other rows."""
    found = reference.histograms_of(columns)
    own = [replace(one, histogram=found[one.name]) for one in reference.columns]
    return replace(reference, columns=tuple(own))


def table(record: dict[str, Any]) -> list[str]:
    """Best seconds, and how many times ours they are: construction and all, or the window alone."""
    lines = [f"{'':22}{'job':52}{'wall':>9}{'ratio':>8}{'processor':>11}{'ratio':>8}"]
    for side, jobs in record["seconds"].items():
        for job, seconds in jobs.items():
            cells = ""
            for clock, width in (("wall", 9), ("processor", 11)):
                ratio = "" if side == _OURS else f"{_ratio(record, side, job, clock):.1f}"
                cells += f"{seconds[clock]:{width}.4f}{ratio:>8}"
            lines.append(f"{side:22}{job:52}{cells}")
    return lines


def _ratio(record: dict[str, Any], side: str, job: str, clock: str) -> float:
    base = "window alone" if "alone" in job else "reference and window"
    seconds = record["seconds"]
    return float(seconds[side][job][clock] / seconds[_OURS][base][clock])


def demands(record: dict[str, Any]) -> list[Demand]:
    """Faster than alibi-detect, 15 times as fast as Evidently."""
    wanted = []
    for side, jobs in record["seconds"].items():
        least = 1.0 if side.startswith("alibi") else 15.0 if side.startswith("Evidently") else None
        for job in jobs if least else ():
            ratio = _ratio(record, side, job, "wall")
            wanted.append(Demand(f"times as fast as {side}, {job}", ratio, at_least=least))
    return wanted
