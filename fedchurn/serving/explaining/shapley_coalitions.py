"""Coalitions to score, and the weights that turn their scores into Shapley values.

Up to ``MAX_EXACT`` players: all coalitions, with Shapley's own weights. Above: Shapley values as
the least squares fit of what players add (Kernel SHAP, Lundberg and Lee 2017), through the empty
and the full coalition exactly. Small coalitions and their complements, which weigh most, are taken
whole; of each middle size as many are drawn as its weight deserves, always with the complement
(Covert and Lee 2021). The draw depends on the number of players only, so equal rows have equal
explanations.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Coalitions = NDArray[np.bool_]

MAX_EXACT = 11
NUM_COALITIONS = 2048


@dataclass(frozen=True, eq=False)
class Plan:
    """What to score.

    Attributes:
        coalitions: bool (n, num_players); the empty one first, the full one last.
        weights: float64 (num_players, n); ``weights @ scores`` are Shapley values. They sum to the
            score of the last coalition less that of the first, whatever the scores.
        is_exact: whether all coalitions are there.
    """

    coalitions: Coalitions
    weights: Floats
    is_exact: bool


@lru_cache(maxsize=32)
def plan_coalitions(num_players: int) -> Plan:
    """The plan for at least one player."""
    return _all(num_players) if num_players <= MAX_EXACT else _sampled(num_players)


@lru_cache(maxsize=16)
def all_coalitions(num_players: int) -> tuple[Coalitions, NDArray[np.intp]]:
    """All coalitions, bool (2^n, n), the empty one first and the full one last; their sizes."""
    codes = np.arange(2**num_players)[:, None]
    coalitions = (codes >> np.arange(num_players) & 1).astype(np.bool_)
    return coalitions, coalitions.sum(axis=1)


def _all(num_players: int) -> Plan:
    coalitions, sizes = all_coalitions(num_players)
    others = sizes - coalitions.T
    orders = [1.0 / math.comb(num_players - 1, k) / num_players for k in range(num_players)]
    share = np.array([*orders, 0.0])[others]
    return Plan(coalitions, np.where(coalitions.T, share, -share), is_exact=True)


def _sampled(num_players: int) -> Plan:
    generator = np.random.default_rng(num_players)
    num_pairs = max(NUM_COALITIONS // 2, 4 * num_players)
    sizes = range(1, num_players // 2 + 1)
    kernel = {k: (1.0 if 2 * k == num_players else 2.0) / (k * (num_players - k)) for k in sizes}
    drawn, weights = [], []
    for size in sizes:
        share = kernel[size] / sum(kernel[k] for k in sizes if k >= size)
        half = _one_of_each_pair(num_players, size, max(1, round(num_pairs * share)), generator)
        num_pairs -= len(half)
        drawn += [half, ~half]
        weights.append(np.full(2 * len(half), kernel[size] / (2 * len(half))))
    return _fit(np.concatenate(drawn), np.concatenate(weights))


def _one_of_each_pair(
    num_players: int, size: int, wanted: int, generator: np.random.Generator
) -> Coalitions:
    """At most ``wanted`` coalitions of a size, no two of which are equal or complements."""
    halves = 2 * size == num_players  # then complements have the size too: keep those with player 0
    if math.comb(num_players, size) <= wanted * (2 if halves else 1):
        members = np.array(list(itertools.combinations(range(num_players), size)))
    else:
        members = generator.random((wanted, num_players)).argsort(axis=1)[:, :size]
    coalitions = np.zeros((len(members), num_players), dtype=np.bool_)
    np.put_along_axis(coalitions, members, True, axis=1)
    if halves:
        coalitions ^= ~coalitions[:, :1]
    return np.unique(coalitions, axis=0)


def _fit(coalitions: Coalitions, weights: Floats) -> Plan:
    """Weighted least squares of scores on members, with both ends of the game kept exactly."""
    members = coalitions.astype(np.float64)
    inverse = np.linalg.inv(members.T @ (weights[:, None] * members))
    whole = inverse.sum(axis=1) / inverse.sum()
    free = (inverse - np.outer(whole, inverse.sum(axis=0))) @ (members.T * weights)
    empty = -free.sum(axis=1) - whole
    ends = np.zeros((2, coalitions.shape[1]), dtype=np.bool_)
    ends[1] = True
    return Plan(
        np.concatenate([ends[:1], coalitions, ends[1:]]),
        np.column_stack([empty, free, whole]),
        is_exact=False,
    )
