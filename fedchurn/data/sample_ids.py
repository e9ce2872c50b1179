"""Identifiers of sample rows: unique, of the contract's pattern, and recognisable as made up.

The mark is in the identifiers because it then survives copying, editing and conversion of a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce

import numpy as np

from fedchurn.contract.schema import Contract
from fedchurn.errors import ContractError

PREFIX = "sample-"
DIGITS = "726753"  # SAMPLE on a telephone keypad, then seven digits
LETTERS = "SMPL"

_MARKED = re.compile(rf"{PREFIX}\d+|{DIGITS}\d{{7}}|.*{LETTERS}.*")
_SLOT = re.compile(r"(\\d|\[0-9\]|\[A-Z\]|\[a-z\]|\\?[^\\\[\](){}*+?|.^$])(\{\d+\}|\+)?")
_ALPHABETS = {
    "\\d": "0123456789",
    "[0-9]": "0123456789",
    "[A-Z]": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "[a-z]": "abcdefghijklmnopqrstuvwxyz",
}
_OPEN_LENGTH = 13  # characters of a slot with +


def sample_ids(contract: Contract, num_rows: int, *, num_before: int = 0) -> list[str]:
    """One identifier per row.

    Args:
        contract: says what identifiers look like.
        num_rows: how many are needed.
        num_before: how many of the series are left out, since others have them.

    Raises:
        ContractError: the id pattern is more than literals, digits and letters with counts, or has
            too few combinations.
    """
    pattern = contract.id.pattern if contract.id else None
    last = num_before + num_rows
    if pattern is None:
        return [f"{PREFIX}{i:06d}" for i in range(num_before + 1, last + 1)]
    alphabets = _alphabets(pattern)
    marked = _marked(alphabets)
    chosen = marked if _capacity(marked) > last else alphabets
    if _capacity(chosen) <= last:
        raise _unfit(pattern, f"has too few combinations for {last} rows")
    ids = [_numbered(chosen, i) for i in range(num_before + 1, last + 1)]
    if not re.fullmatch(pattern, ids[0]):
        raise _unfit(pattern, f"is beyond the sample generator (it made {ids[0]!r})")
    return ids


def are_sample_ids(ids: Sequence[object]) -> bool:
    """Whether most of some identifiers carry the mark."""
    marked = [bool(_MARKED.fullmatch(str(value).strip())) for value in ids]
    return bool(marked) and float(np.mean(marked)) > 0.5


def _alphabets(pattern: str) -> list[str]:
    """Possible characters per position of ``pattern``."""
    body = pattern.removeprefix("^").removesuffix("$")
    alphabets: list[str] = []
    place = 0
    while place < len(body):
        slot = _SLOT.match(body, place)
        if slot is None:
            raise _unfit(pattern, f"is beyond the sample generator at {body[place:]!r}")
        characters = _ALPHABETS.get(slot[1], slot[1][-1])
        count = slot[2] or "{1}"
        alphabets += [characters] * (_OPEN_LENGTH if count == "+" else int(count[1:-1]))
        place = slot.end()
    return alphabets


def _marked(alphabets: list[str]) -> list[str]:
    """Positions with the mark put into the first run of letters or digits that has room."""
    for run, mark, least in (
        (_ALPHABETS["[A-Z]"], LETTERS, len(LETTERS)),
        (_ALPHABETS["\\d"], DIGITS, _OPEN_LENGTH),
    ):
        for start in range(len(alphabets) - least + 1):
            whole = mark == LETTERS or len(alphabets) == least
            if whole and all(a == run for a in alphabets[start : start + least]):
                return [*alphabets[:start], *mark, *alphabets[start + len(mark) :]]
    return alphabets


def _capacity(alphabets: list[str]) -> int:
    return reduce(lambda product, a: product * len(a), alphabets, 1)


def _numbered(alphabets: list[str], number: int) -> str:
    """``number`` written with the alphabets as digits of a mixed radix."""
    characters: list[str] = []
    for alphabet in reversed(alphabets):
        number, digit = divmod(number, len(alphabet))
        characters.append(alphabet[digit])
    return "".join(reversed(characters))


def _unfit(pattern: str, why: str) -> ContractError:
    return ContractError(
        f"the id pattern {pattern!r} {why}",
        where="id.pattern",
        next_step=r"use literals, \d, [A-Z] and counts such as {4}, or leave the pattern out",
    )
