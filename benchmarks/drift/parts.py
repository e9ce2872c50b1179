"""Part 3: what each part of a column's test buys, at the same false-alarm rate."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.drift.material import FREE_RULE, Material
from benchmarks.drift.ours import check_all
from benchmarks.drift.rates import matched_level
from benchmarks.drift.stored import NONE, folder_name
from benchmarks.serving.demands import Demand
from fedchurn.drift.comparing.statistics import PARTS, Parts, Statistic

SIZE = (1000, 200)
CLASSIC = ("ks", "chi_squared")


def measure(material: Material, num_calm: int = 400, num_shifted: int = 150) -> dict[str, Any]:
    """Power with all parts, with each one left out, and with the classic ones alone."""
    names = _part_names()
    variants = {"all": frozenset(names), "classic": frozenset(CLASSIC)}
    variants |= {f"no {name}": frozenset(names) - {name} for name in names}
    rate = material.anchor_rate(SIZE)
    found = {}
    for title, kept in variants.items():
        with patch.dict(PARTS, {test: _only(kept, PARTS[test]) for test in PARTS}):
            smallest = {
                shift: check_all(
                    material.windows.checks(
                        SIZE, shift, num_calm if shift == NONE else num_shifted
                    ),
                    material.windows.meta,
                    material.contract,
                    FREE_RULE,
                ).smallest()
                for shift in (NONE, *material.windows.meta.shifts)
            }
        level = matched_level(smallest.pop(NONE), rate)
        found[title] = {shift: float(np.mean(p < level)) for shift, p in smallest.items()}
    counts = {"num_calm": num_calm, "num_shifted": num_shifted}
    return {"size": folder_name(SIZE), "rate": rate, "power": found, **counts}


def _part_names() -> list[str]:
    """Parts that are there, in the order in which they are made."""
    cells = np.ones((1, 4)), np.full(4, 9.0)
    names = [name for statistic in PARTS.values() for name in statistic(*cells)]
    return list(dict.fromkeys(names))


def _only(kept: frozenset[str], statistic: Statistic) -> Statistic:
    def parts(windows: Any, both: Any) -> Parts:
        found = statistic(windows, both)
        left = {name: values for name, values in found.items() if name in kept}
        return left or {"none": np.zeros(len(windows))}

    return parts


def table(record: dict[str, Any]) -> list[str]:
    """One line per variant."""
    shifts = list(record["power"]["all"])
    what = f"{record['size']}, {record['num_calm']} calm and {record['num_shifted']} shifted checks"
    lines = [f"power at false-alarm rate {record['rate']:.3f}, {what}"]
    lines.append(f"{'parts':16}" + "".join(f"{shift:>24}" for shift in shifts))
    for title, powers in record["power"].items():
        lines.append(f"{title:16}" + "".join(f"{powers[shift]:24.3f}" for shift in shifts))
    return lines


def demands(_: dict[str, Any]) -> list[Demand]:
    """None: this part explains."""
    return []
