"""alibi-detect's TabularDrift on stored windows; runs in its own environment and prints JSON.

Its KS test knows no missing values (any NaN makes a column's p-value NaN, and it never drifts
again), so they must be filled in. ``median`` fills in the reference's median; ``below`` a number
below all others, which makes gaps a value of their own and is the kindest to it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from alibi_detect import __version__
from alibi_detect.cd import TabularDrift
from alibi_detect.utils.statstest import fdr

from benchmarks.drift.stored import NONE, Check, Meta, StoredWindows, folder_name, read_windows
from benchmarks.drift.timing import best_seconds

LEVEL = 0.05  # its default
FILLS = {"median": "gaps as median", "below": "gaps below all"}


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
    json.dump({"package": "alibi-detect", "version": __version__, **found}, sys.stdout)


def _checks(windows: StoredWindows, most: int | None, most_shifted: int | None) -> dict[str, Any]:
    alarms: dict[str, dict[str, Any]] = {}
    for size in windows.meta.sizes:
        for shift in (NONE, *windows.meta.shifts):
            limit = most if shift == NONE else most_shifted
            for fill, title in FILLS.items():
                p_values = [
                    _p_values(check, windows.meta, fill)
                    for check in windows.checks(size, shift, limit)
                ]
                key = f"{folder_name(size)}/{shift}"
                by_fdr = alarms.setdefault(f"FDR, {title}", {})
                by_fdr[key] = [_by_fdr(row) for row in p_values]
                by_bonferroni = alarms.setdefault(f"Bonferroni, {title}", {})
                by_bonferroni[key] = [_by_bonferroni(row) for row in p_values]
                by_fdr[f"{folder_name(size)}/stream_{shift}"] = [
                    [_by_fdr(_p_values(check, windows.meta, fill)) for check in stream]
                    for stream in windows.streams(size, shift)
                ]
    return {"alarms": alarms}


def _by_fdr(p_values: np.ndarray[Any, Any]) -> int:
    return int(fdr(p_values, q_val=LEVEL)[0])


def _by_bonferroni(p_values: np.ndarray[Any, Any]) -> int:
    return int((p_values < LEVEL / len(p_values)).any())


def _p_values(check: Check, meta: Meta, fill: str) -> np.ndarray[Any, Any]:
    reference, window = filled(check.reference, check.window, meta, fill)
    return np.asarray(detector(reference, meta).score(window)[0])


def detector(reference: np.ndarray[Any, Any], meta: Meta) -> TabularDrift:
    """Its defaults, told which columns are categories."""
    categories = {place: None for place, name in enumerate(meta.names) if name in meta.num_labels}
    return TabularDrift(reference, p_val=LEVEL, categories_per_feature=categories, correction="fdr")


def filled(
    reference: np.ndarray[Any, Any], window: np.ndarray[Any, Any], meta: Meta, fill: str
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Both without gaps; the gap of a category is a label of its own."""
    fills = np.nanmin(reference, axis=0) - 1.0
    if fill == "median":
        is_number = np.array([name not in meta.num_labels for name in meta.names])
        fills = np.where(is_number, np.nanmedian(reference, axis=0), fills)
    return np.where(np.isnan(reference), fills, reference), np.where(
        np.isnan(window), fills, window
    )


def _speed(windows: StoredWindows, repetitions: int) -> dict[str, Any]:
    """Seconds of filling, construction and prediction, and of prediction alone."""
    check = next(windows.checks(windows.meta.sizes[0]))

    def whole() -> None:
        reference, window = filled(check.reference, check.window, windows.meta, "median")
        detector(reference, windows.meta).predict(window)

    reference, window = filled(check.reference, check.window, windows.meta, "median")
    ready = detector(reference, windows.meta)
    return {
        "seconds": {
            "construct and predict": best_seconds(whole, repetitions),
            "predict alone": best_seconds(lambda: ready.predict(window), repetitions),
        }
    }


if __name__ == "__main__":
    main()
