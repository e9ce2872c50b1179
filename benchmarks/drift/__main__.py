"""Drift checks on the real files: false alarms, power, delay, the promise, speed and memory.

Reference and windows are drawn from the same real rows, the same ones for everybody; see
``benchmarks.drift.streams``. The peers run in environments of their own, which ``uv`` makes. Run it
with ``python -m benchmarks.drift --data-dir FOLDER``; it exits with 1 when a demand is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.drift import delay, false_alarms, memory, parts, power, promise, speed
from benchmarks.drift.material import Counts, Material
from benchmarks.drift.populations import FILES, default_folder, read_population
from benchmarks.drift.stored import read_windows
from benchmarks.drift.streams import Amount, write_windows
from benchmarks.serving.demands import Demand
from fedchurn.quiet import apply_quiet_environment

ON_STREAMS: dict[str, ModuleType] = {
    "false_alarms": false_alarms,
    "power": power,
    "parts": parts,
    "delay": delay,
    "promise": promise,
}
ONCE: dict[str, ModuleType] = {"speed": speed, "memory": memory}
QUICK = Amount(100, 40, 8, 10, 8, 6)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every demand holds (unless quick)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=default_folder())
    parser.add_argument("--contracts", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--parts", nargs="+", choices=(*ON_STREAMS, *ONCE))
    parser.add_argument("--quick", action="store_true", help="few windows, to see that it works")
    parser.add_argument("--slow-checks", type=int, default=200, help="of Evidently and NannyML")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args(arguments)
    apply_quiet_environment(os.environ)
    wanted = options.parts or [*ON_STREAMS, *ONCE]
    broken: list[str] = []
    record: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="fedchurn-drift-") as folder:
        for name in options.contracts:
            record[name] = _on_streams(name, wanted, options, Path(folder), broken)
        record["once"] = _once(wanted, options, Path(folder), broken)
    if options.json:
        print(json.dumps({**record, "broken": broken}))
    return int(bool(broken) and not options.quick)


def _on_streams(
    name: str,
    wanted: Sequence[str],
    options: argparse.Namespace,
    folder: Path,
    broken: list[str],
) -> dict[str, Any]:
    if not set(wanted) & set(ON_STREAMS):
        return {}
    population = read_population(name, options.data_dir)
    write_windows(population, folder / name, QUICK if options.quick else Amount())
    slow = min(options.slow_checks, 20) if options.quick else options.slow_checks
    counts = Counts(slow_most=slow, slow_most_shifted=min(slow, 5 if options.quick else 20))
    material = Material(population, read_windows(folder / name), folder / "peers", counts)
    found = {}
    for part, module in ON_STREAMS.items():
        if part in wanted:
            found[part] = module.measure(material)
            _show(f"{name}: {part}", module, found[part], options.json, broken)
    return found


def _once(
    wanted: Sequence[str], options: argparse.Namespace, folder: Path, broken: list[str]
) -> dict[str, Any]:
    if not set(wanted) & set(ONCE):
        return {}
    population = read_population(options.contracts[0], options.data_dir)
    found = {"speed": speed.measure(population, folder / "speed", folder / "peers")}
    if "memory" in wanted:
        most = 10 * memory.ROWS[0] if options.quick else memory.ROWS[1]
        found["memory"] = memory.measure(folder / "speed", most)
    for part, record in found.items():
        _show(part, ONCE[part], record, options.json, broken)
    return found


def _show(
    title: str, module: ModuleType, found: dict[str, Any], as_json: bool, broken: list[str]
) -> None:
    demands: list[Demand] = module.demands(found)
    broken += [f"{title}: {demand.what}" for demand in demands if not demand.holds]
    lines = [f"== {title}", *module.table(found), *map(str, demands), ""]
    print("\n".join(lines), file=sys.stderr if as_json else sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
