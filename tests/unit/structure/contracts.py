"""The import contracts of .importlinter, read for the tests of this folder."""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
SIDES = ("serving", "client", "driver")


def entries(contract: str, key: str) -> tuple[str, ...]:
    """The lines of one list in one contract."""
    parser = configparser.ConfigParser()
    parser.read(PROJECT / ".importlinter")
    text = parser[f"importlinter:contract:{contract}"][key]
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def modules(package: str = "fedchurn") -> tuple[str, ...]:
    """Dotted names of a package's modules; an ``__init__`` that imports nothing is left out."""
    names = []
    for path in sorted((PROJECT / package).rglob("*.py")):
        if path.name == "__init__.py" and "import " not in path.read_text():
            continue
        parts = path.relative_to(PROJECT).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return tuple(names)


def covers(pattern: str, module: str) -> bool:
    """Whether ``fedchurn.data.**`` or ``fedchurn.errors`` speaks of a module."""
    folder = pattern.removesuffix(".**")
    return module == folder or (pattern.endswith(".**") and module.startswith(folder + "."))


def modules_of(side: str) -> tuple[str, ...]:
    """Modules that one of the three sides imports."""
    patterns = entries(side, "source_modules")
    return tuple(m for m in modules() if any(covers(p, m) for p in patterns))


def loaded_by(names: tuple[str, ...], cwd: Path) -> set[str]:
    """Top-level packages in ``sys.modules`` after a fresh process imported these modules."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {list(names)!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={"PYTHONPATH": str(PROJECT), "HOME": str(cwd), "PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))
