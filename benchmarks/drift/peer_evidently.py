"""Evidently's DataDriftPreset on stored windows; runs in its own environment and prints JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("DO_NOT_TRACK", "1")

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report, __version__
from evidently.presets import DataDriftPreset

from benchmarks.drift.stored import Meta, StoredWindows, folder_name, read_windows
from benchmarks.drift.timing import best_seconds

ANY, HALF = "any column", "dataset drift (half of the columns)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Check all stored windows, or time one large check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int)
    parser.add_argument("--most-shifted", type=int)
    parser.add_argument("--speed", type=int, help="repetitions of the one check of the folder")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    windows = read_windows(options.folder)
    found = (
        _speed(windows, options.speed)
        if options.speed
        else _checks(windows, options.most, options.most_shifted)
    )
    json.dump({"package": "Evidently", "version": __version__, **found}, sys.stdout)


def _checks(windows: StoredWindows, most: int | None, most_shifted: int | None) -> dict[str, Any]:
    alarms: dict[str, dict[str, list[int]]] = {ANY: {}, HALF: {}}
    for size in windows.meta.sizes:
        for shift in ("none", *windows.meta.shifts):
            limit = most if shift == "none" else most_shifted
            counts = [
                _num_drifted(check.reference, check.window, windows.meta)
                for check in windows.checks(size, shift, limit)
            ]
            key = f"{folder_name(size)}/{shift}"
            alarms[ANY][key] = [int(count > 0) for count in counts]
            alarms[HALF][key] = [int(2 * count >= len(windows.meta.names)) for count in counts]
    return {"alarms": alarms}


def _num_drifted(
    reference: np.ndarray[Any, Any], window: np.ndarray[Any, Any], meta: Meta
) -> float:
    found = Report([DataDriftPreset()]).run(_dataset(window, meta), _dataset(reference, meta))
    (counted,) = (m for m in found.dict()["metrics"] if "DriftedColumnsCount" in m["metric_name"])
    return float(counted["value"]["count"])


def _dataset(rows: np.ndarray[Any, Any], meta: Meta) -> Dataset:
    categories = list(meta.num_labels)
    frame = pd.DataFrame(rows, columns=list(meta.names))
    for name in categories:
        frame[name] = frame[name].map(lambda code: None if code != code else f"label {int(code)}")
    definition = DataDefinition(numerical_columns=meta.numbers, categorical_columns=categories)
    return Dataset.from_pandas(frame, data_definition=definition)


def _speed(windows: StoredWindows, repetitions: int) -> dict[str, Any]:
    """Seconds of a report, made and read, from two data sets that are there."""
    check = next(windows.checks(windows.meta.sizes[0]))
    sides = [_dataset(rows, windows.meta) for rows in (check.window, check.reference)]

    def job() -> None:
        Report([DataDriftPreset()]).run(*sides).dict()

    return {"seconds": {"preset": best_seconds(job, repetitions)}}


if __name__ == "__main__":
    main()
