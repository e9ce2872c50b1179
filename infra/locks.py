"""What the hash-locked requirements say, and whether an environment is what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9,._-]+\])?==(?P<version>[A-Za-z0-9.+!_-]+)"
    r"( *; *(?P<marker>.*?))?(?P<hashes>( +--hash=sha256:[0-9a-f]{64})*)"
)


@dataclass(frozen=True)
class Locked:
    """One requirement of a lock; ``marker`` says where it applies, empty for everywhere."""

    name: str
    version: str
    marker: str
    num_hashes: int

    @property
    def applies_here(self) -> bool:
        return not self.marker or Marker(self.marker).evaluate()


def read_lock(path: Path) -> tuple[list[Locked], list[str]]:
    """The requirements of a lock, and a sentence per line that is anything else.

    Anything else is an address, a version control link, an option such as another index, a version
    that is not exact, or a requirement without hashes.
    """
    locked: list[Locked] = []
    problems: list[str] = []
    for line in _logical_lines(path):
        found = _LINE.fullmatch(line)
        if found is None:
            problems.append(f"{path.name}: no exact version of a package: {line[:80]}")
            continue
        one = Locked(
            canonicalize_name(found["name"]),
            found["version"],
            found["marker"] or "",
            found["hashes"].count("--hash"),
        )
        locked.append(one)
        if not one.num_hashes:
            problems.append(f"{path.name}: {one.name}=={one.version} has no hash")
    return locked, problems


def disagreements(locks: Mapping[str, Sequence[Locked]]) -> list[str]:
    """A sentence per package of which two locks want different versions on this machine."""
    versions: dict[str, dict[str, str]] = {}
    for lock, locked in locks.items():
        for one in locked:
            if one.applies_here:
                versions.setdefault(one.name, {})[lock] = one.version
    return [
        f"{name}: " + ", ".join(f"{version} in {lock}" for lock, version in wanted.items())
        for name, wanted in sorted(versions.items())
        if len(set(wanted.values())) > 1
    ]


def differences(
    locked: Sequence[Locked], installed: Mapping[str, str], *, beside: Sequence[str]
) -> list[str]:
    """A sentence per package that is installed otherwise than locked.

    Args:
        locked: what should be installed.
        installed: version by canonical name.
        beside: names that may be installed without being locked.
    """
    wanted = {one.name: one.version for one in locked if one.applies_here}
    found = [
        f"{name}: {installed.get(name, 'nothing')} is installed, {version} is locked"
        for name, version in wanted.items()
        if installed.get(name) != version
    ]
    extra = installed.keys() - wanted.keys() - set(beside)
    return sorted([*found, *(f"{n}: {installed[n]} is installed, but not locked" for n in extra)])


def _logical_lines(path: Path) -> Iterator[str]:
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in joined.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield re.sub(r"\s+", " ", line.split(" #", 1)[0]).strip()
