"""Exact Shapley values of a logistic model: no draw, no enumeration.

Let every player join with probability t, independently. A player's Shapley value is the integral
over t of the mean change that it makes (Owen 1972),

    phi_i = integral from 0 to 1 of E[p(S with i) - p(S without i)] dt,

a polynomial in t of degree n - 1, so Gauss-Legendre with n/2 nodes is exact. The logit of S is a
base plus independent parts, one per player or block of players that share terms, and

    p(u) = 1/2 + integral from 0 to infinity of sin(w u) / sinh(pi w) dw

turns the mean over coalitions into a product with one factor per part (their characteristic
functions). The integral over w is a sum at w_k = (k + 1/2) h; it errs by some exp(reach - pi / h)
and exp(-pi * last w), both below 1e-11 here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedchurn.serving.explaining.shapley_coalitions import all_coalitions
from fedchurn.serving.explaining.shapley_terms import Terms

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

MAX_BLOCK = 6  # players of a block; all 2^6 of its coalitions are looked at
MAX_REACH = 200.0  # largest logit of a coalition; the work grows with it
_MARGIN = 28.0
_LAST_FREQUENCY = 9.0
_MAX_NODES = 24  # exact up to 48 players; above, the rest is below what floats show


def exact_shapley(terms: Terms, logits: Floats) -> Floats | None:
    """Shapley values of ``sigmoid`` of the logit, float64 (num_players,).

    Args:
        terms: which terms the logit has.
        logits: the terms, (num_terms,).

    Returns:
        None where it would take long: a block or a logit is too large.
    """
    if any(len(block) > MAX_BLOCK for block in terms.blocks):
        return None
    singles = logits[1 + terms.singles]
    tables = [_block_logits(terms, logits, block) for block in terms.blocks]
    reach = _reach(float(logits[0]), singles, tables)
    if not reach < MAX_REACH:
        return None
    frequencies, sine_weights = _frequencies(float(np.ceil(reach)))
    nodes, node_weights = _nodes(terms.coalitions.shape[1])
    joins = _waves(singles, frequencies)
    blocks = [_waves(table, frequencies) for table in tables]
    factors = [1.0 + nodes[:, None] * (joins[:, None] - 1.0)]
    factors += [
        (_shares(len(members), nodes) @ waves)[None]
        for members, waves in zip(terms.blocks, blocks, strict=True)
    ]
    others = _products_of_others(np.concatenate(factors))
    others *= node_weights[:, None] * (sine_weights * _waves(logits[:1], frequencies))
    values = np.empty(terms.coalitions.shape[1])
    num_singles = len(singles)
    values[terms.singles] = np.einsum(
        "pqk,pk->p", others[:num_singles], joins - 1.0, optimize=False
    ).imag
    for members, waves, rest in zip(terms.blocks, blocks, others[num_singles:], strict=True):
        values[list(members)] = np.einsum(
            "iqs,qs->i", _changes(len(members), nodes), rest @ waves.T
        ).imag
    return values


def _reach(base: float, singles: Floats, tables: list[Floats]) -> float:
    """Largest absolute logit of any coalition."""
    low = base + np.minimum(singles, 0).sum() + sum(table.min() for table in tables)
    high = base + np.maximum(singles, 0).sum() + sum(table.max() for table in tables)
    return float(max(-low, high))


def _block_logits(terms: Terms, logits: Floats, block: tuple[int, ...]) -> Floats:
    """What each coalition within a block adds to the logit, (2^size,)."""
    within, _ = all_coalitions(len(block))
    coalitions = np.zeros((len(within), terms.coalitions.shape[1]), dtype=np.bool_)
    coalitions[:, list(block)] = within
    return np.asarray(terms.inside(coalitions) @ logits - logits[0])


def _waves(logits: Floats, frequencies: Floats) -> Complexes:
    """(num_logits, num_frequencies)."""
    return np.exp(1j * (logits[:, None] * frequencies))


def _products_of_others(factors: Complexes) -> Complexes:
    """Per part the product of all other parts' factors; division would meet zeros."""
    result = np.ones_like(factors)
    np.cumprod(factors[:-1], axis=0, out=result[1:])
    after = np.ones_like(factors[0])
    for part in range(len(factors) - 1, 0, -1):
        after *= factors[part]
        result[part - 1] *= after
    return result


@lru_cache(maxsize=256)
def _frequencies(reach: float) -> tuple[Floats, Floats]:
    step = np.pi / (reach + _MARGIN)
    places = np.arange(np.ceil(_LAST_FREQUENCY / step), dtype=np.float64)
    frequencies = np.asarray(step * (places + 0.5), dtype=np.float64)
    return frequencies, np.asarray(step / np.sinh(np.pi * frequencies), dtype=np.float64)


@lru_cache(maxsize=64)
def _nodes(num_players: int) -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss-Legendre on 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(min((num_players + 1) // 2, _MAX_NODES))
    return (nodes + 1.0) / 2.0, weights / 2.0


def _shares(size: int, nodes: Floats) -> Floats:
    """Probability of each coalition of a block at each node, (num_nodes, 2^size)."""
    _, sizes = all_coalitions(size)
    return nodes[:, None] ** sizes * (1.0 - nodes[:, None]) ** (size - sizes)


def _changes(size: int, nodes: Floats) -> Floats:
    """Weights of each coalition in the mean change that a player makes, (size, nodes, 2^size)."""
    coalitions, sizes = all_coalitions(size)
    joined = coalitions.T[:, None, :]
    others = sizes - joined
    share = nodes[:, None] ** others * (1.0 - nodes[:, None]) ** (size - 1 - others)
    return np.where(joined, share, -share)
