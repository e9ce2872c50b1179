"""Shapley values of the fields: who deserves what of the difference to a typical customer.

A coalition of fields has the customer's values, all other fields have the reference's; its worth is
the churn probability of that row (Shapley 1953; "baseline Shapley" in Sundararajan and Najmi 2020).
Logistic models are solved exactly (``shapley_exact``), few players by all coalitions, the rest from
some two thousand coalitions, with the nearest logistic model as control variate: what that model
explains is exact, only the rest is estimated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.learning.spec import sigmoid
from fedchurn.serving.explaining.shapley_coalitions import Coalitions, Plan, plan_coalitions
from fedchurn.serving.explaining.shapley_exact import exact_shapley
from fedchurn.serving.explaining.shapley_first_layer import FirstLayer
from fedchurn.serving.explaining.shapley_terms import Terms, find_terms

Floats = NDArray[np.float64]
Encode = Callable[[Coalitions], NDArray[np.float32]]

_CHUNK_ROWS = 128  # stays in the cache, and below what a BLAS spreads over threads
_NOTHING = 1e-12  # a term of the first layer that is rounding, not effect


@dataclass(frozen=True, eq=False)
class ShapleyValues:
    """Who deserves what; ``base + values.sum()`` is the customer's probability, within 1e-9.

    Attributes:
        base: probability of the reference (0-1).
        values: per player, (num_players,).
    """

    base: float
    values: Floats


@dataclass(frozen=True, eq=False)
class Game:
    """A model, a customer and a reference.

    Attributes:
        model: what is explained.
        encode: model inputs of n coalitions, bool (n, num_players) to float32 (n, num_inputs).
        num_players: at least 1.
        linked: groups of players whose fields meet in a derived feature.
    """

    model: FirstLayer
    encode: Encode
    num_players: int
    linked: tuple[tuple[int, ...], ...] = ()


def shapley_values(game: Game) -> ShapleyValues:
    """Equal games give equal values, to the last bit."""
    model = game.model
    terms = find_terms(game.num_players, game.linked)
    if terms is None:
        plan = plan_coalitions(game.num_players)
        return _by_plan(plan, model.logit(model.sums(game.encode(plan.coalitions))))
    parts = terms.inversion @ model.sums(game.encode(terms.coalitions))
    if model.is_additive:
        values = exact_shapley(terms, parts[:, 0])
        if values is not None:
            return ShapleyValues(float(sigmoid(parts[0, 0])), values)
    return _by_terms(model, terms, parts)


def _by_terms(model: FirstLayer, terms: Terms, parts: Floats) -> ShapleyValues:
    """From the terms of the first layer, (num_terms, 1 + units); dummies get 0."""
    num_players = terms.coalitions.shape[1]
    matters = np.abs(parts).max(axis=1) > _NOTHING
    active = np.flatnonzero(terms.coalitions[matters].any(axis=0))
    values = np.zeros(num_players)
    if not len(active):
        return ShapleyValues(float(model.probability(parts[:1])[0]), values)
    plan = plan_coalitions(len(active))
    coalitions = np.zeros((len(plan.coalitions), num_players), dtype=np.bool_)
    coalitions[:, active] = plan.coalitions
    logits = [
        model.logit(terms.inside(coalitions[start : start + _CHUNK_ROWS]) @ parts)
        for start in range(0, len(coalitions), _CHUNK_ROWS)
    ]
    found = _by_plan(plan, np.concatenate(logits))
    values[active] = found.values
    return ShapleyValues(found.base, values)


def _by_plan(plan: Plan, logits: Floats) -> ShapleyValues:
    scores = sigmoid(logits)
    values = plan.weights @ scores
    if not plan.is_exact:
        values += _missed_by_sampling(plan, logits)
    return ShapleyValues(float(scores[0]), values)


def _missed_by_sampling(plan: Plan, logits: Floats) -> Floats:
    """Sampling error of the logistic model whose players add what they add on average."""
    num_players = plan.coalitions.shape[1]
    alone = find_terms(num_players, ())
    assert alone is not None
    parts = np.concatenate([logits[:1], plan.weights @ logits])
    exact = exact_shapley(alone, parts)
    if exact is None:
        return np.zeros(num_players)
    nearest = sigmoid(plan.coalitions @ parts[1:] + parts[0])
    return exact - plan.weights @ nearest
