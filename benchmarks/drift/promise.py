"""Part 5: the promise in operation: calibrated releases, calm windows in a row, alarms counted.

Each of the references is calibrated as a release is, and then sees windows in a row by its own
rule. The usual promise, one false alarm a year at 24 checks a day, is one in 8766 checks and is
hardly ever put to the test by a thousand, so weaker promises are kept as well. ``copies`` is a
reference of customers with all the copies that the file has of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.drift.material import Material, Size
from benchmarks.drift.ours import Rows, check_stream
from benchmarks.drift.references import make_reference
from benchmarks.drift.stored import folder_name
from benchmarks.serving.demands import Demand
from fedchurn.drift.promise.calibrate import Promise
from fedchurn.drift.verdict import Verdict

CHECKS_PER_YEAR = Promise().checks_per_year
PROMISES = {"1 a year": 1.0, "1 a week": 52.0, "1 a day": 365.25}


def measure(material: Material, num_streams: int | None = None) -> dict[str, Any]:
    """Alarms and flags among the checks of all streams, by size and promise."""
    rows = []
    for title, per_year in PROMISES.items():
        for size in material.windows.meta.sizes:
            streams = (
                (stream[0].reference, None, [check.window for check in stream])
                for stream in material.windows.streams(size, most=num_streams)
            )
            found = _operate(material, streams, size, per_year)
            rows.append({"promise": title, "size": folder_name(size), **found})
        if len(np.unique(material.population.customers)) < 0.9 * len(material.population.customers):
            size = (5630, 1000)
            copies = _copies(material, size, num_streams)
            found = _operate(material, copies, size, per_year)
            rows.append({"promise": title, "size": f"copies_{size[1]}", **found})
    return {"rows": rows}


def _operate(material: Material, streams: Any, size: Size, per_year: float) -> dict[str, Any]:
    promise = Promise(false_alarms_per_year=per_year, window_rows=(size[1],), min_rows=30)
    meta, contract = material.windows.meta, material.contract
    verdicts = []
    for known, customers, windows in streams:
        reference = make_reference(known, meta, contract, customers=customers, promise=promise)
        stream = check_stream(reference, windows, meta, None)
        verdicts.append([found.verdict for found in stream])
    alarms = np.array([[one is Verdict.DRIFT for one in stream] for stream in verdicts])
    per_stream = alarms.sum(axis=1)  # checks of one stream are not independent
    return {
        "checks": alarms.size,
        "alarms": int(alarms.sum()),
        "error": float(np.sqrt(len(per_stream) * np.var(per_stream, ddof=1))),
        "warnings": sum(one is Verdict.WARNING for stream in verdicts for one in stream),
        "promised": alarms.size * per_year / CHECKS_PER_YEAR,
    }


def _copies(
    material: Material, size: Size, num_streams: int | None
) -> Iterator[tuple[Rows, Any, list[Rows]]]:
    """References of as many drawn customers as the file has, with their copies; windows of rows."""
    population = material.population
    generator = np.random.default_rng(size[1])
    members = [np.flatnonzero(population.customers == g) for g in np.unique(population.customers)]
    shape = material.windows.load(size, "stream_none").shape
    for _ in range(num_streams or shape[0]):
        drawn = generator.integers(len(members), size=len(members))
        rows = np.concatenate([members[g] for g in drawn])
        customers = np.repeat(np.arange(len(drawn)), [len(members[g]) for g in drawn])
        places = generator.integers(len(population.rows), size=(shape[1], size[1]))
        yield population.rows[rows], customers, [population.rows[window] for window in places]


def table(record: dict[str, Any]) -> list[str]:
    """One line per promise and size."""
    heads = ("size", "checks", "promised", "alarms", "warnings")
    lines = [f"{'promise':12}" + "".join(f"{head:>13}" for head in heads)]
    for row in record["rows"]:
        alarms = f"{row['alarms']} ± {row['error']:.1f}"
        lines.append(
            f"{row['promise']:12}{row['size']:>13}{row['checks']:13}{row['promised']:13.1f}"
            f"{alarms:>13}{row['warnings']:13}"
        )
    return lines


def demands(record: dict[str, Any]) -> list[Demand]:
    """Not above the promise by more than chance: two errors, or a Poisson count's 99th percentile.

    The error is that of the sum over streams, whose checks share a reference.
    """
    return [
        Demand(
            f"{row['promise']}, {row['size']}: alarms in {row['checks']} checks",
            row["alarms"],
            at_most=max(
                float(_largest_by_chance(row["promised"])), row["promised"] + 2 * row["error"]
            ),
        )
        for row in record["rows"]
    ]


def _largest_by_chance(mean: float) -> int:
    term = total = float(np.exp(-mean))
    count = 0
    while total < 0.99:
        count += 1
        term *= mean / count
        total += term
    return count
