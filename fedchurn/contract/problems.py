"""Problems of a contract, collected so that all of them are told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedchurn.errors import ContractError

Path = tuple[str | int, ...]

NEXT_STEP = (
    "correct it, then run `fedchurn contract check` on it; docs/contracts.md explains the keys"
)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a contract.

    Attributes:
        path: keys from the top of the file to the place; rules are named by their id.
        message: what is wrong, with the value and, for a mistyped name, the nearest match.
    """

    path: Path
    message: str

    def text(self, lines: Mapping[Path, int]) -> str:
        """``line 12: columns.Tenure.kind: ...``; the line is that of the nearest known key."""
        line = _line(self.path, lines)
        start = f"line {line}: " if line is not None else ""
        place = ".".join(str(part) for part in self.path)
        return f"{start}{place}: {self.message}" if place else f"{start}{self.message}"


def raise_problems(
    problems: Sequence[Problem], where: str, lines: Mapping[Path, int] | None = None
) -> None:
    """Raise one ContractError that tells all of ``problems``; nothing happens without any.

    Args:
        problems: what is wrong, in any order.
        where: the file, or another name of the contract's origin.
        lines: 1-based line of each path, if the contract comes from a text.
    """
    known = lines or {}
    in_order = sorted(problems, key=lambda problem: _line(problem.path, known) or 0)
    texts = list(dict.fromkeys(p.text(known) for p in in_order))
    if len(texts) == 1:
        raise ContractError(texts[0], where=where, next_step=NEXT_STEP)
    if texts:
        listed = "".join(f"\n  {text}" for text in texts)
        raise ContractError(f"{len(texts)} problems:{listed}", where=where, next_step=NEXT_STEP)


def _upwards(path: Path) -> list[Path]:
    return [path[:length] for length in range(len(path), 0, -1)]


def _line(path: Path, lines: Mapping[Path, int]) -> int | None:
    """Line of ``path``, or of the nearest key above it that has one."""
    return next((lines[p] for p in _upwards(path) if p in lines), None)
