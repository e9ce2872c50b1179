"""Audit of the dependencies: what is locked, what is installed, and what is known against it.

    python -m infra.audit [--need-advisories]

Always, without a network: every requirement is one exact version with hashes, from the index and
from nowhere else; the locks agree; the environment holds what is locked and nothing beside it.
Where api.osv.dev can be reached: known vulnerabilities of the locked versions. One in the service's
own set fails the audit, unless requirements/accepted-advisories.txt says why it may stay; others
are printed. Where it cannot be reached, the last line says NOT AUDITED, and ``--need-advisories``
makes that a failure.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from infra.locks import Locked, differences, disagreements, read_lock

OSV = "https://api.osv.dev/v1/querybatch"
LOCKS = ("serve.txt", "train.txt", "dev.txt", "bootstrap.txt")
ACCEPTED = "accepted-advisories.txt"
# Ourselves, and what a new virtual environment brings along.
_BESIDE = ("fedchurn", "pip")
_TIMEOUT_SECONDS = 20


def main(
    arguments: Sequence[str] | None = None, *, installed: Mapping[str, str] | None = None
) -> int:
    """Print the findings; 1 if one of them is a failure.

    Args:
        arguments: of the command line.
        installed: version by name of what is installed; this environment's by default.
    """
    parser = argparse.ArgumentParser(description="Audit of the dependencies.")
    parser.add_argument("--folder", type=Path, default=Path("requirements"))
    parser.add_argument("--osv", default=OSV, help="where advisories are asked for")
    parser.add_argument("--need-advisories", action="store_true", help="fail if nobody answers")
    given = parser.parse_args(arguments)
    locks, problems = _read(given.folder)
    problems += disagreements(locks)
    problems += differences(
        [*locks["dev.txt"], *locks["bootstrap.txt"]],
        _installed() if installed is None else installed,
        beside=_BESIDE,
    )
    num_locked = len({one.name for lock in locks.values() for one in lock})
    print(f"{num_locked} packages in {len(locks)} locks, {len(problems)} problems")
    advisories = _advisories(locks, given.osv)
    if advisories is None:
        problems += ["no advisories were read"] if given.need_advisories else []
    else:
        problems += _judged(advisories, locks["serve.txt"], _accepted(given.folder))
    for problem in problems:
        print(f"  PROBLEM {problem}")
    if advisories is None:
        print(f"NOT AUDITED for known vulnerabilities: {given.osv} gives no answer from here")
    return 1 if problems else 0


def _read(folder: Path) -> tuple[dict[str, list[Locked]], list[str]]:
    locks: dict[str, list[Locked]] = {}
    problems: list[str] = []
    for name in LOCKS:
        locks[name], found = read_lock(folder / name)
        problems += found
    return locks, problems


def _installed() -> dict[str, str]:
    return {canonicalize_name(found.metadata["Name"]): found.version for found in distributions()}


def _advisories(
    locks: Mapping[str, Sequence[Locked]], address: str
) -> dict[tuple[str, str], list[str]] | None:
    """Ids of advisories by (name, version), or None when nobody answers as OSV does."""
    asked = sorted({(one.name, one.version) for lock in locks.values() for one in lock})
    queries = [{"package": {"name": n, "ecosystem": "PyPI"}, "version": v} for n, v in asked]
    request = urllib.request.Request(
        address,
        data=json.dumps({"queries": queries}).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            results = json.load(answer)["results"]
        pairs = zip(asked, results, strict=True)
        return {package: [v["id"] for v in found.get("vulns", ())] for package, found in pairs}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"  no advisories: {type(error).__name__}: {error}")
        return None


def _judged(
    advisories: Mapping[tuple[str, str], Sequence[str]],
    served: Sequence[Locked],
    accepted: Mapping[str, str],
) -> list[str]:
    """Problems among the advisories; those that are none are printed."""
    in_service = {(one.name, one.version) for one in served}
    problems = []
    for (name, version), ids in advisories.items():
        for advisory in ids:
            told = f"{name}=={version}: https://osv.dev/vulnerability/{advisory}"
            if advisory in accepted:
                print(f"  accepted {told}: {accepted[advisory]}")
            elif (name, version) in in_service:
                problems.append(f"{told}, in the service")
            else:
                print(f"  outside the service {told}")
    print(f"{sum(len(ids) for ids in advisories.values())} advisories known for these versions")
    return problems


def _accepted(folder: Path) -> dict[str, str]:
    """Reason by advisory; a line is ``ID reason``."""
    lines = (folder / ACCEPTED).read_text(encoding="utf-8").splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if line.strip() and line[0] != "#")
    return {found[0]: found[-1] for found in pairs}


if __name__ == "__main__":
    sys.exit(main())
