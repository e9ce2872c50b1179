"""Sums of the first layer for every coalition, from a few of them.

Most columns reach the first layer by themselves, so what a coalition adds there is the sum of what
its members add. Only derived features tie columns: the charges so far are months times charges a
month. Hence

    sums(S) = sum of the terms m(T) over all T within S
    m(T)    = sum of (-1)^|T - R| sums(R) over all R within T

(the Moebius inversion), where T is empty, one player, or several that one derived feature ties. A
customer with 13 players needs 18 rows encoded rather than 2^13.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Coalitions = NDArray[np.bool_]

MAX_TERMS = 512


@dataclass(frozen=True, eq=False)
class Terms:
    """Which terms there are.

    Attributes:
        coalitions: bool (num_terms, num_players), the empty one first.
        inversion: float64 (num_terms, num_terms); ``inversion @ sums(coalitions)`` are the terms.
        blocks: groups of two and more players that share terms.
        singles: players of no block; term ``1 + player`` is what each adds.
    """

    coalitions: Coalitions
    inversion: Floats
    blocks: tuple[tuple[int, ...], ...]
    singles: NDArray[np.intp]

    def inside(self, coalitions: Coalitions) -> Floats:
        """1 where a term lies within a coalition, else 0; float64 (num_coalitions, num_terms)."""
        return _within(self.coalitions, coalitions).astype(np.float64)


@lru_cache(maxsize=32)
def find_terms(num_players: int, linked: tuple[tuple[int, ...], ...]) -> Terms | None:
    """The terms of a game; None for more than ``MAX_TERMS``.

    Args:
        num_players: players are 0 to num_players - 1.
        linked: groups of players that a derived feature ties.
    """
    if sum(2 ** len(group) for group in linked) > MAX_TERMS:
        return None
    members = {(), *((player,) for player in range(num_players))}
    for group in linked:
        for size in range(2, len(group) + 1):
            members.update(itertools.combinations(sorted(group), size))
    ordered = sorted(members, key=lambda m: (len(m), m))
    coalitions = np.zeros((len(ordered), num_players), dtype=np.bool_)
    for row, players in enumerate(ordered):
        coalitions[row, list(players)] = True
    sizes = coalitions.sum(axis=1)
    signs = (-1.0) ** (sizes[:, None] - sizes)
    inversion = np.where(_within(coalitions, coalitions), signs, 0.0)
    blocks = _blocks(linked)
    singles = np.setdiff1d(np.arange(num_players), [p for block in blocks for p in block])
    return Terms(coalitions, inversion, blocks, singles)


def _within(inner: Coalitions, outer: Coalitions) -> Coalitions:
    """Whether each of ``inner`` lies within each of ``outer``, (num_outer, num_inner)."""
    shared = outer.astype(np.float64) @ inner.T.astype(np.float64)
    return np.asarray(shared == inner.sum(axis=1))


def _blocks(linked: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    blocks: list[set[int]] = []
    for group in linked:
        joined = set(group)
        for block in [b for b in blocks if b & joined]:
            joined |= block
            blocks.remove(block)
        blocks.append(joined)
    return tuple(tuple(sorted(block)) for block in blocks)
