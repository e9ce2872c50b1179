"""Part 1: how often everybody alarms when nothing has drifted."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.drift.material import Material, alarms_of
from benchmarks.drift.ours import check_all
from benchmarks.drift.rates import share
from benchmarks.drift.stored import NONE, folder_name
from benchmarks.serving.demands import Demand
from fedchurn.drift.verdict import DriftRule

LEVELS = (0.05, 0.01)


def measure(material: Material) -> dict[str, Any]:
    """Share of alarms by rule and size; ours by the smallest adjusted p-value of one window."""
    found: dict[str, dict[str, Any]] = {}
    for size in material.windows.meta.sizes:
        key = folder_name(size)
        smallest = material.found(size).smallest()
        for level in LEVELS:
            name = f"Fedchurn, one window, adjusted p <= {level}"
            found.setdefault(name, {})[key] = vars(share(smallest <= level))
        exact = check_all(
            material.windows.checks(size, NONE, 300),
            material.windows.meta,
            material.contract,
            DriftRule(min_effect=0.0, min_missing_effect=0.0),
            min_cell_rows=1,
        )
        name = f"the same, p <= {LEVELS[0]}, reference without suppression (300)"
        found.setdefault(name, {})[key] = vars(share(exact.smallest() <= LEVELS[0]))
        for rule in material.rules:
            found.setdefault(rule.name, {})[key] = vars(share(alarms_of(rule, size, NONE)))
    return {"sizes": [folder_name(size) for size in material.windows.meta.sizes], "share": found}


def table(record: dict[str, Any]) -> list[str]:
    """One line per rule."""
    lines = [f"{'alarms without drift':70}" + "".join(f"{size:>18}" for size in record["sizes"])]
    for name, shares in record["share"].items():
        cells = [_cell(shares.get(size)) for size in record["sizes"]]
        lines.append(f"{name:70}" + "".join(f"{cell:>18}" for cell in cells))
    return lines


def _cell(found: dict[str, float] | None) -> str:
    return f"{found['value']:.3f} ± {found['error']:.3f}" if found else "-"


def demands(record: dict[str, Any]) -> list[Demand]:
    """A level is kept, up to two standard errors."""
    kept = []
    for level in LEVELS:
        shares = record["share"][f"Fedchurn, one window, adjusted p <= {level}"]
        for size, found in shares.items():
            least = found["value"] - 2 * found["error"]
            what = f"{size}: share of calm windows with adjusted p <= {level}, less 2 errors"
            kept.append(Demand(what, float(np.round(least, 4)), at_most=level))
    return kept
