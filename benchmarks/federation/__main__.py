"""Federation: parts by name, each printing its tables and demands.

``python -m benchmarks.federation [PART ...]``; it exits with 1 when a demand is broken (unless
quick). The peers run in environments of their own, which ``uv`` makes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.drift.populations import default_folder
from fedchurn.quiet import apply_quiet_environment

PARTS = {
    "scale": "benchmarks.federation.scale",
    "superlink": "benchmarks.federation.superlink",
    "kill": "benchmarks.federation.kill",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every demand holds (unless quick).

    A part's ``main(options)`` gives ``lines`` to print, ``demands``, and a JSON-ready ``record``.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--data-dir", type=Path, default=default_folder())
    parser.add_argument("--work", type=Path, help="folder to keep jobs and results in")
    parser.add_argument("--clients", type=int, default=1000, help="of the part scale")
    parser.add_argument("--quick", action="store_true", help="to see that it works")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    apply_quiet_environment(os.environ)
    record: dict[str, Any] = {}
    broken: list[str] = []
    for name in options.parts or PARTS:
        found = importlib.import_module(PARTS[name]).main(options)
        record[name] = found["record"]
        broken += [f"{name}: {d.what}" for d in found["demands"] if not d.holds]
        lines = [f"== {name}", *found["lines"], *map(str, found["demands"]), ""]
        print("\n".join(lines), file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        print(json.dumps({**record, "broken": broken}))
    return int(bool(broken) and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
