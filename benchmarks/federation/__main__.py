"""Federation: all parts, one after another, each in a process of its own.

``python -m benchmarks.federation [PART ...]``; it exits with 1 when a demand of any part is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drift.populations import default_folder
from fedchurn.quiet import apply_quiet_environment


@dataclass(frozen=True)
class Part:
    """A module with a ``main(arguments)`` and the options that it knows.

    Attributes:
        data_option: takes the folder of the real files; "" if it reads none.
        has_quick: whether it knows ``--quick``.
        has_json: whether it knows ``--json``, one JSON object as the last line.
    """

    module: str
    data_option: str = ""
    has_quick: bool = False
    has_json: bool = False


PARTS = {
    "scale": Part("scale", "--data-dir", has_quick=True, has_json=True),
    "simulation": Part("simulation", "--data", has_json=True),
    "non_iid": Part("non_iid", "--data-dir", has_json=True),
    "compression": Part("compression", "--data-dir", has_json=True),
    "privacy": Part("privacy", has_json=True),
    "poison": Part("poison", "--data-dir", has_quick=True, has_json=True),
    "secure_cost": Part("secure_cost"),
    "superlink": Part("superlink", has_quick=True, has_json=True),
    "kill": Part("kill", has_quick=True, has_json=True),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them all, whatever one of them says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--data-dir", type=Path, default=default_folder())
    parser.add_argument("--quick", action="store_true", help="to see that it works")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    broken, results = [], {}
    for name in options.parts or PARTS:
        print(f"== {name}", file=sys.stderr if options.json else sys.stdout, flush=True)
        code, output = _run(PARTS[name], options)
        broken += [name] if code else []
        lines = output.splitlines()
        results[name] = json.loads(lines[-1]) if PARTS[name].has_json and lines else None
    if options.json:
        print(json.dumps({**results, "broken": broken}))
    return int(bool(broken))


def _run(part: Part, options: argparse.Namespace) -> tuple[int, str]:
    environ = dict(os.environ)
    apply_quiet_environment(environ)
    command = [sys.executable, "-m", f"benchmarks.federation.{part.module}"]
    command += [part.data_option, str(options.data_dir)] if part.data_option else []
    command += ["--quick"] if part.has_quick and options.quick else []
    command += ["--json"] if part.has_json and options.json else []
    stdout = subprocess.PIPE if options.json else None
    done = subprocess.run(command, env=environ, text=True, stdout=stdout)
    return done.returncode, done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
