"""Part 2: power on each shift and size, at the false-alarm rate of alibi-detect's FDR rule."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from benchmarks.drift.material import Material, Size, alarms_of
from benchmarks.drift.rates import Power, matched_level, power_at, share
from benchmarks.drift.stored import folder_name
from benchmarks.serving.demands import Demand

_MAX_CLEAR_ROWS = 200  # windows up to here must find gaps clearly more often than the anchor
_MIN_KNOWN_ROWS = 1000  # below, clients may have held back as many gaps as were to be found


def measure(material: Material) -> dict[str, Any]:
    """Power of ours and of every peer's rule, and ours at the lower rate of the two anchors."""
    rows = []
    for size in material.windows.meta.sizes:
        for shift in material.windows.meta.shifts:
            rows.append(_row(material, size, shift))
    return {"rows": rows, "anchors": [rule.name for rule in material.anchors]}


def _row(material: Material, size: Size, shift: str) -> dict[str, Any]:
    calm, shifted = material.found(size).smallest(), material.found(size, shift)
    rate = material.anchor_rate(size)
    level = matched_level(calm, rate)
    smallest = shifted.smallest()
    loudest = shifted.strongest[np.arange(len(smallest)), shifted.adjusted.argmin(axis=1)]
    above = {}
    for rule in material.anchors:
        theirs = alarms_of(rule, size, shift)
        above[rule.name] = _record(power_at(calm, rate, smallest[: len(theirs)], theirs))
    peers = {rule.name: vars(share(alarms_of(rule, size, shift))) for rule in material.rules}
    return {
        "size": folder_name(size),
        "shift": shift,
        "rate": rate,
        "level": level,
        "ours": vars(share(smallest < level)),
        "above": above,
        "peers": peers,
        "spoke": dict(Counter(loudest[smallest < level].tolist()).most_common()),
    }


def _record(power: Power) -> dict[str, Any]:
    return {key: vars(value) for key, value in vars(power).items()}


def table(record: dict[str, Any]) -> list[str]:
    """Ours beside the anchors, and the difference; then all peers by their defaults."""
    lines = []
    heads = "".join(f"{name.split(', ', 1)[1]:>42}" for name in record["anchors"])
    lines.append(f"{'':9} {'shift':24}{'rate':>6}{'Fedchurn':>16}{heads}   part that spoke")
    for row in record["rows"]:
        cells = "".join(
            f"{_plain(one['theirs']):>18} (ours {one['above']['value']:+.3f} ± "
            f"{one['above']['error']:.3f})"
            for one in row["above"].values()
        )
        spoke = " ".join(f"{part} {num}" for part, num in row["spoke"].items())
        lines.append(
            f"{row['size']:9} {row['shift']:24}{row['rate']:6.3f}{_plain(row['ours']):>16}{cells}"
            f"   {spoke}"
        )
    others = [n for n in record["rows"][0]["peers"] if n not in record["anchors"]]
    lines += ["", "by their defaults, at whatever false-alarm rate that is:"]
    for name in others:
        cells = "  ".join(f"{row['peers'][name]['value']:.2f}" for row in record["rows"])
        lines.append(f"{name:60} {cells}")
    return lines


def _plain(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} ± {found['error']:.3f}"


def demands(record: dict[str, Any]) -> list[Demand]:
    """At least the anchor's on every shift and size (up to two errors); clearly above on gaps."""
    wanted = []
    for row in record["rows"]:
        for name, one in row["above"].items():
            above, error = one["above"]["value"], one["above"]["error"]
            what = f"{row['size']} {row['shift']}: power above {name}, plus 2 errors"
            wanted.append(Demand(what, above + 2 * error, at_least=0.0))
            known, seen = map(int, row["size"].split("_"))
            is_small = seen <= _MAX_CLEAR_ROWS and known >= _MIN_KNOWN_ROWS
            if row["shift"] == "missing_15" and is_small:
                what = f"{row['size']} {row['shift']}: power above {name}, less 2 errors"
                wanted.append(Demand(what, above - 2 * error, at_least=0.0))
    return wanted
