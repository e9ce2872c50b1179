"""The service against its peers: same box, same run, same weights, same limits, one worker each.

``wrk`` asks over loopback with 200 generated customers in turn. Ours has validation, metrics and
prediction log on; FastAPI has uvloop, httptools, a pydantic model of the same contract and numpy,
and neither metrics nor log; stock BentoML is its documented API with the same pydantic model. Run
it with ``python -m benchmarks.serving``; it exits with 1 when a demand is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.serving import cold_start, installed, latency, soak, throughput
from benchmarks.serving.material import Material, make_material
from benchmarks.serving.wrk import require_wrk
from fedchurn.quiet import apply_quiet_environment

PARTS: dict[str, ModuleType] = {
    "throughput": throughput,
    "cold": cold_start,
    "latency": latency,
    "installed": installed,
    "soak": soak,
}
USUAL = ("throughput", "cold", "latency", "installed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every demand holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=USUAL)
    parser.add_argument("--soak", action="store_true", help="the soak, and nothing else")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--seconds", type=float, default=3.0, help="per side and round")
    parser.add_argument("--soak-seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=latency.NUM_REQUESTS, help="for memory")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args(arguments)
    require_wrk()
    apply_quiet_environment(os.environ)
    with tempfile.TemporaryDirectory(prefix="fedchurn-serving-") as folder:
        return _report(measure(options, Path(folder)), options.json)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Every wanted part, and the load of the machine before and after each."""
    material = make_material(folder)
    record: dict[str, Any] = {}
    for name in ("soak",) if options.soak else options.parts:
        before = os.getloadavg()[0]
        figures = _measures(options, material, folder / name)[name]()
        record[name] = {**figures, "load_average": [round(before, 1), round(os.getloadavg()[0], 1)]}
    return record


def _measures(
    options: argparse.Namespace, material: Material, folder: Path
) -> dict[str, Callable[[], dict[str, Any]]]:
    return {
        "throughput": lambda: throughput.measure(material, folder, options.rounds, options.seconds),
        "cold": lambda: cold_start.measure(material, folder, options.rounds),
        "latency": lambda: latency.measure(material, folder, options.requests),
        "installed": lambda: installed.measure(folder),
        "soak": lambda: soak.measure(material, folder, options.soak_seconds),
    }


def _report(record: dict[str, Any], as_json: bool) -> int:
    demands = {name: PARTS[name].demands(figures) for name, figures in record.items()}
    lines = []
    for name, figures in record.items():
        lines.append(f"== {name} (load average {figures['load_average']})")
        figures_shown = {k: v for k, v in figures.items() if k != "load_average"}
        lines += [*PARTS[name].table(figures_shown), *map(str, demands[name]), ""]
    print("\n".join(lines), file=sys.stderr if as_json else sys.stdout)
    if as_json:
        broken = [d.what for found in demands.values() for d in found if not d.holds]
        print(json.dumps({**record, "broken": broken}))
    return int(not all(d.holds for found in demands.values() for d in found))


if __name__ == "__main__":
    sys.exit(main())
