"""Small games, and Shapley values by their definition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.learning.spec import HiddenLayer, ModelSpec
from fedchurn.serving.explaining.shapley import Game
from fedchurn.serving.explaining.shapley_first_layer import FirstLayer

Floats = NDArray[np.float64]


def by_definition(worth: Callable[[frozenset[int]], float], num_players: int) -> list[float]:
    """The mean, over all orders, of what a player changes by joining."""
    values = []
    for player in range(num_players):
        others = [p for p in range(num_players) if p != player]
        value = 0.0
        for size in range(num_players):
            share = 1 / (num_players * math.comb(num_players - 1, size))
            for members in itertools.combinations(others, size):
                before = frozenset(members)
                value += share * (worth(before | {player}) - worth(before))
        values.append(value)
    return values


def logistic_game(
    base: float, effects: Sequence[float], joint: dict[tuple[int, ...], float] | None = None
) -> Game:
    """Players add ``effects`` to the logit; groups add ``joint`` when all their members are in."""
    groups = joint or {}

    def encode(coalitions: NDArray[np.bool_]) -> NDArray[np.float32]:
        together = [coalitions[:, list(group)].all(axis=1) for group in groups]
        return np.column_stack([coalitions, *together]).astype(np.float32)

    kernel = np.array([[*effects, *groups.values()]], dtype=np.float32).T
    weights = (kernel, np.array([base], dtype=np.float32))
    model = FirstLayer(ModelSpec(len(kernel)), weights)
    return Game(model, encode, len(effects), tuple(groups))


def network_game(num_players: int, *, seed: int = 1, dummies: Sequence[int] = ()) -> Game:
    """A network with one hidden layer beside a linear path; ``dummies`` reach neither."""
    generator = np.random.default_rng(seed)
    spec = ModelSpec(num_players, hidden=(HiddenLayer(6),))
    weights = [generator.normal(size=s).astype(np.float32) for _, s in spec.weight_shapes()]
    weights[0][list(dummies)] = 0
    weights[2][list(dummies)] = 0
    return Game(FirstLayer(spec, tuple(weights)), lambda c: c.astype(np.float32), num_players)


def worth_in(game: Game) -> Callable[[frozenset[int]], float]:
    """The probability that a game's model gives a coalition."""

    def worth(members: frozenset[int]) -> float:
        coalition = np.zeros((1, game.num_players), dtype=np.bool_)
        coalition[0, list(members)] = True
        return float(game.model.probability(game.model.sums(game.encode(coalition)))[0])

    return worth
