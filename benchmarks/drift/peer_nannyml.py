"""NannyML's UnivariateDriftCalculator on stored windows; in its own environment, prints JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("NML_DISABLE_USAGE_LOGGING", "1")

import nannyml
import numpy as np
import pandas as pd

from benchmarks.drift.stored import Meta, StoredWindows, folder_name, read_windows
from benchmarks.drift.timing import best_seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Check all stored windows, or time one large check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int)
    parser.add_argument("--most-shifted", type=int)
    parser.add_argument("--speed", type=int, help="repetitions of the one check of the folder")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    windows = read_windows(options.folder)
    found = (
        _speed(windows, options.speed)
        if options.speed
        else _checks(windows, options.most, options.most_shifted)
    )
    json.dump({"package": "NannyML", "version": nannyml.__version__, **found}, sys.stdout)


def _checks(windows: StoredWindows, most: int | None, most_shifted: int | None) -> dict[str, Any]:
    alarms: dict[str, list[int]] = {}
    for size in windows.meta.sizes:
        for shift in ("none", *windows.meta.shifts):
            limit = most if shift == "none" else most_shifted
            alarms[f"{folder_name(size)}/{shift}"] = [
                _alarms(check.reference, check.window, windows.meta)
                for check in windows.checks(size, shift, limit)
            ]
    return {"alarms": {"any column": alarms}}


def _alarms(reference: np.ndarray[Any, Any], window: np.ndarray[Any, Any], meta: Meta) -> int:
    found = _calculator(meta, len(window)).fit(frame_of(reference, meta))
    results = found.calculate(frame_of(window, meta)).filter(period="analysis").to_df()
    flags = [column for column in results.columns if column[-1] == "alert"]
    return int(results[flags].to_numpy(dtype=bool).any())


def _calculator(meta: Meta, chunk_rows: int) -> nannyml.UnivariateDriftCalculator:
    return nannyml.UnivariateDriftCalculator(
        column_names=list(meta.names),
        treat_as_categorical=list(meta.num_labels),
        chunk_size=chunk_rows,
    )


def frame_of(rows: np.ndarray[Any, Any], meta: Meta) -> pd.DataFrame:
    """Rows with labels as text."""
    frame = pd.DataFrame(rows, columns=list(meta.names))
    for name in meta.num_labels:
        frame[name] = frame[name].map(lambda code: None if code != code else f"label {int(code)}")
    return frame


def _speed(windows: StoredWindows, repetitions: int) -> dict[str, Any]:
    """Seconds of fitting and calculating, and of calculating alone, from frames that are there."""
    check = next(windows.checks(windows.meta.sizes[0]))
    reference, window = (frame_of(r, windows.meta) for r in (check.reference, check.window))

    def whole() -> None:
        _calculator(windows.meta, len(window)).fit(reference).calculate(window).to_df()

    fitted = _calculator(windows.meta, len(window)).fit(reference)
    return {
        "seconds": {
            "fit and calculate": best_seconds(whole, repetitions),
            "calculate alone": best_seconds(lambda: fitted.calculate(window).to_df(), repetitions),
        }
    }


if __name__ == "__main__":
    main()
