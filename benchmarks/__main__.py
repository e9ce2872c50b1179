"""All benchmarks, one after another, each in a process of its own: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from fedchurn.quiet import apply_quiet_environment

ALWAYS = ("rounds", "encoder", "validation", "explanation")
WITH_WRK = ("serving",)
ON_REAL_FILES = ("quality", "drift", "federation")
MORE = (*WITH_WRK, *ON_REAL_FILES)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run them; a failing one stops the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--all",
        action="store_true",
        help="serving (needs wrk) and those on real files (quality, drift, federation) too",
    )
    parser.add_argument("--only", nargs="+", choices=(*ALWAYS, *MORE))
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args(arguments)
    names = options.only or (*ALWAYS, *(MORE if options.all else ()))
    results = {}
    for name in names:
        print(f"== {name}", file=sys.stderr if options.json else sys.stdout, flush=True)
        output = _run(name, capture=options.json)
        if options.json:
            results[name] = json.loads(output.splitlines()[-1])
    if options.json:
        print(json.dumps(results))


def _run(name: str, *, capture: bool) -> str:
    environ = dict(os.environ)
    apply_quiet_environment(environ)
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--json"] if capture else [])]
    stdout = subprocess.PIPE if capture else None
    result = subprocess.run(command, env=environ, check=True, text=True, stdout=stdout)
    return result.stdout or ""


if __name__ == "__main__":
    main()
