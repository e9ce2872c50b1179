"""In which words two contracts differ: for a client that is refused because of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_DIFFERENCES = 6  # told in one message; the rest is counted
_MAX_LETTERS = 60


def contract_differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> tuple[str, ...]:
    """Every field that differs, as ``place: value here, value there``; columns by name.

    Args:
        here: the driver's contract as plain JSON.
        there: the client's, which may hold anything.
    """
    return tuple(_differences("", here, there))


def differences_text(found: Sequence[str]) -> str:
    """The first few differences in a sentence's part."""
    more = len(found) - MAX_DIFFERENCES
    told = "; ".join(found[:MAX_DIFFERENCES])
    return f"{told}; and {more} more" if more > 0 else told


def _differences(place: str, here: Any, there: Any) -> Iterator[str]:
    mine, theirs = _by_name(here), _by_name(there)
    if mine is None or theirs is None:
        if here != there:
            yield f"{place}: {_shown(here)} here, {_shown(there)} there"
        return
    for name in [*mine, *(name for name in theirs if name not in mine)]:
        path = f"{place}.{_name(name)}" if place else _name(name)
        if name not in theirs:
            yield f"{path}: only here"
        elif name not in mine:
            yield f"{path}: only there"
        else:
            yield from _differences(path, mine[name], theirs[name])
    both = [name for name in mine if name in theirs]
    if both != [name for name in theirs if name in mine]:
        yield f"{place or 'contract'}: another order"


def _by_name(value: Any) -> dict[str, Any] | None:
    """A record, or a list of records by their id or name; None for anything else."""
    if isinstance(value, Mapping):
        return {str(name): part for name, part in value.items()}
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        return {str(p.get("id") or p.get("name") or n): p for n, p in enumerate(value)}
    return None


def _name(text: str) -> str:
    return _short(text if text.isprintable() else json.dumps(text))


def _shown(value: Any) -> str:
    return _short(json.dumps(value, ensure_ascii=True, default=str))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_LETTERS else text[: _MAX_LETTERS - 3] + "..."
