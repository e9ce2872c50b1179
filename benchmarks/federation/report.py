"""How a part tells what it found, and the options that parts share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.drift.populations import default_folder
from benchmarks.serving.demands import Demand


def part_parser(words: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every part."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--data-dir", type=Path, default=default_folder())
    parser.add_argument("--quick", action="store_true", help="to see that it works")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    return parser


def show(lines: Sequence[str], demands: Sequence[Demand], options: argparse.Namespace) -> list[str]:
    """Print; the demands that are broken."""
    text = "\n".join([*lines, "", *map(str, demands), ""])
    print(text, file=sys.stderr if options.json else sys.stdout, flush=True)
    return [demand.what for demand in demands if not demand.holds]


def conclude(record: Any, broken: Sequence[str], options: argparse.Namespace) -> int:
    """The last line, if it is asked for; 1 when a demand is broken, unless quick."""
    if options.json:
        print(json.dumps({"found": record, "broken": broken}))
    return int(bool(broken) and not options.quick)


def tell(
    lines: Sequence[str], demands: Sequence[Demand], record: Any, options: argparse.Namespace
) -> int:
    """``show`` and ``conclude``."""
    return conclude(record, show(lines, demands, options), options)
