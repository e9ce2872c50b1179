"""Draws the windows: reference and window independently from the same real population.

One draw is one customer and one of its copies, both at random, so rows are independent, and
whatever is found in windows without a shift is a false alarm.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.populations import FILES, Population, default_folder, read_population
from benchmarks.drift.shifts import shift_rows
from benchmarks.drift.stored import NONE, Meta, folder_name, write_meta

SIZES = ((100, 50), (1000, 200), (5630, 1000), (5630, 50))


@dataclass(frozen=True)
class Amount:
    """How much is drawn for every size.

    Attributes:
        num_checks: independent pairs without drift.
        num_shifted: pairs per shift.
        num_streams, num_windows: references, and calm windows in a row for each.
        num_shifted_streams, num_shifted_windows: the same for every shift.
    """

    num_checks: int = 1000
    num_shifted: int = 400
    num_streams: int = 40
    num_windows: int = 25
    num_shifted_streams: int = 40
    num_shifted_windows: int = 6


def write_windows(population: Population, folder: Path, amount: Amount, seed: int = 0) -> None:
    """Draw all windows of one population and write them; see ``benchmarks.drift.stored``."""
    scenarios = population.contract.sample.scenarios
    folder.mkdir(parents=True, exist_ok=True)
    name = population.contract.contract
    meta = Meta(name, population.names, population.num_labels, SIZES, tuple(scenarios))
    write_meta(folder, meta)
    np.save(folder / "population.npy", population.rows)
    np.save(folder / "customers.npy", population.customers)
    for size in SIZES:
        into = folder / folder_name(size)
        into.mkdir(exist_ok=True)
        _write_pairs(population, size, into, amount, seed)
        _write_streams(population, size, into, amount, seed)


def _write_pairs(
    population: Population, size: tuple[int, int], into: Path, amount: Amount, seed: int
) -> None:
    generator = _generator(seed, into.name, "pairs")
    num_reference, num_window = size
    references = population.draw(generator, (amount.num_checks, num_reference))
    windows = population.draw(generator, (amount.num_checks, num_window))
    np.save(into / "references.npy", references)
    np.save(into / f"{NONE}.npy", windows)
    _write_shifted(population, windows[: amount.num_shifted], into, "", seed)


def _write_streams(
    population: Population, size: tuple[int, int], into: Path, amount: Amount, seed: int
) -> None:
    generator = _generator(seed, into.name, "streams")
    num_reference, num_window = size
    references = population.draw(generator, (amount.num_streams, num_reference))
    shape = (amount.num_streams, amount.num_windows, num_window)
    windows = population.draw(generator, shape)
    np.save(into / "stream_references.npy", references)
    np.save(into / f"stream_{NONE}.npy", windows)
    part = windows[: amount.num_shifted_streams, : amount.num_shifted_windows]
    _write_shifted(population, part, into, "stream_", seed)


def _write_shifted(
    population: Population, windows: NDArray[np.int32], into: Path, prefix: str, seed: int
) -> None:
    for name, scenario in population.contract.sample.scenarios.items():
        generator = _generator(seed, into.name, prefix, name)
        rows = population.rows[windows]
        np.save(into / f"{prefix}{name}.npy", shift_rows(rows, population, scenario, generator))


def _generator(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32("|".join(names).encode())])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the windows of both files to a folder, to look at them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, default=default_folder())
    options = parser.parse_args(arguments)
    for name in FILES:
        write_windows(read_population(name, options.data_dir), options.into / name, Amount())


if __name__ == "__main__":
    main()
