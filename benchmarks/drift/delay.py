"""Part 4: how many windows it takes until a shift is found, and what persistence buys.

Every rule is brought to the anchor's false-alarm rate per check on calm windows in a row: single
windows by their level; with persistence (k of the last n windows) half of the alarms may come from
single windows; with the last windows taken as one, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.material import Material, alarms_of
from benchmarks.drift.ours import Found
from benchmarks.drift.rates import matched_level
from benchmarks.drift.stored import NONE, folder_name
from benchmarks.serving.demands import Demand
from fedchurn.drift.verdict import DriftRule

Flags = NDArray[np.bool_]

NUM_FLAGGED, NUM_WINDOWS = DriftRule().num_flagged, DriftRule().num_windows
_LEVELS = np.geomspace(0.5, 0.001, 200)


def measure(material: Material) -> dict[str, Any]:
    """Share of streams found within 1, 2, 3 and 6 windows, by rule."""
    rows = []
    for size in material.windows.meta.sizes:
        rate = material.anchor_rate(size, f"stream_{NONE}")
        rules = _rules(material.found_in_streams(size), rate)
        for shift in material.windows.meta.shifts:
            found = material.found_in_streams(size, shift)
            alarms = {title: rule(found) for title, rule in rules.items()}
            for rule in material.anchors:
                theirs = alarms_of(rule, size, f"stream_{shift}")
                alarms[rule.name] = theirs.astype(bool)
            rows.append(
                {
                    "size": folder_name(size),
                    "shift": shift,
                    "rate": rate,
                    "within": {title: _within(flags) for title, flags in alarms.items()},
                }
            )
    return {"rows": rows, "k_of_n": [NUM_FLAGGED, NUM_WINDOWS]}


def _rules(calm: Found, rate: float) -> dict[str, Any]:
    single = matched_level(calm.smallest().ravel(), rate)
    half = matched_level(calm.smallest().ravel(), rate / 2)
    both = matched_level(_smallest_of_both(calm).ravel(), rate / 2)

    def alone(found: Found) -> Flags:
        return np.asarray(found.smallest() < single)

    def lasting(found: Found) -> Flags:
        return np.asarray((found.smallest() < half) | persistent(found.adjusted, flag_half))

    def together(found: Found) -> Flags:
        return np.asarray((_smallest_of_both(found) < both) | persistent(found.adjusted, flag_both))

    flag_half = _flag_level(calm, calm.smallest() < half, rate)
    flag_both = _flag_level(calm, _smallest_of_both(calm) < both, rate)
    name = f"{NUM_FLAGGED} of {NUM_WINDOWS}"
    return {
        "Fedchurn, one window": alone,
        f"or {name}": lasting,
        f"or {name}, or together": together,
    }


def _smallest_of_both(found: Found) -> NDArray[np.float64]:
    return np.minimum(found.adjusted.min(axis=-1), found.together.min(axis=-1))


def _flag_level(calm: Found, already: Flags, rate: float) -> float:
    """The largest level of flags that keeps the rate."""
    for level in _LEVELS:
        if np.mean(already | persistent(calm.adjusted, float(level))) <= rate:
            return float(level)
    return 0.0


def persistent(adjusted: NDArray[np.float64], level: float) -> Flags:
    """Windows in which a flagged column was flagged in k of the last n, (streams, windows)."""
    flagged = adjusted < level
    num_windows = flagged.shape[1]
    recent = np.zeros(flagged.shape, dtype=np.int64)
    for back in range(min(NUM_WINDOWS, num_windows)):
        recent[:, back:] += flagged[:, : num_windows - back]
    return np.asarray((flagged & (recent >= NUM_FLAGGED)).any(axis=2))


def _within(alarms: Flags) -> dict[str, float]:
    """Share of streams with an alarm by then, and windows until the first (6 + 1 if none)."""
    seen = np.logical_or.accumulate(alarms, axis=1)
    first = np.where(seen.any(axis=1), seen.argmax(axis=1) + 1, alarms.shape[1] + 1)
    shares = {str(num): float(seen[:, num - 1].mean()) for num in (1, 2, 3, alarms.shape[1])}
    return {**shares, "mean_windows": float(first.mean())}


def table(record: dict[str, Any]) -> list[str]:
    """One line per size and shift: found within 1 / 2 / 3 / all windows, mean windows."""
    titles = list(record["rows"][0]["within"])
    lines = ["share of streams found within 1 / 2 / 3 / 6 windows; mean windows to the first alarm"]
    lines.append(f"{'':9} {'shift':24}{'rate':>6}" + "".join(f"{t[-38:]:>40}" for t in titles))
    for row in record["rows"]:
        cells = "".join(f"{_cell(row['within'][title]):>40}" for title in titles)
        lines.append(f"{row['size']:9} {row['shift']:24}{row['rate']:6.3f}{cells}")
    return lines


def _cell(within: dict[str, float]) -> str:
    shares = " / ".join(f"{v:.2f}" for key, v in within.items() if key != "mean_windows")
    return f"{shares}; {within['mean_windows']:.1f}"


def demands(_: dict[str, Any]) -> list[Demand]:
    """None: few streams, so this part explains."""
    return []
