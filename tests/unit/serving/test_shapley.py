"""Shapley values: by hand, by definition, and the axioms that define them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.serving.explaining.shapley import shapley_values
from fedchurn.serving.explaining.shapley_coalitions import MAX_EXACT, plan_coalitions
from fedchurn.serving.explaining.shapley_exact import MAX_BLOCK
from fedchurn.serving.explaining.shapley_terms import MAX_TERMS, find_terms
from tests.unit.serving.shapley_games import by_definition, logistic_game, network_game, worth_in

LOGITS = st.floats(-8, 8, allow_nan=False, width=32)


def test_two_equal_pushes_share_the_difference() -> None:
    # 0.5, then 0.75 with either, then 0.9 with both.
    found = shapley_values(logistic_game(0.0, [math.log(3), math.log(3)]))
    assert found.base == 0.5
    assert found.values == pytest.approx([0.2, 0.2], abs=1e-7)


def test_opposite_pushes_cancel() -> None:
    # Alone 0.75 and 0.25; the first comes first or second: (0.25 + 0.25) / 2.
    found = shapley_values(logistic_game(0.0, [math.log(3), -math.log(3)]))
    assert found.values == pytest.approx([0.25, -0.25], abs=1e-7)


def test_what_two_do_only_together_is_shared() -> None:
    # 0.5 alone, 0.75 together.
    found = shapley_values(logistic_game(0.0, [0.0, 0.0], {(0, 1): math.log(3)}))
    assert found.values == pytest.approx([0.125, 0.125], abs=1e-7)


@given(LOGITS, st.lists(LOGITS, min_size=1, max_size=6))
def test_logistic_models_are_solved_exactly(base: float, effects: list[float]) -> None:
    game = logistic_game(base, effects)
    expected = by_definition(worth_in(game), len(effects))
    assert shapley_values(game).values == pytest.approx(expected, abs=1e-10)


@given(LOGITS, st.lists(LOGITS, min_size=5, max_size=5), st.lists(LOGITS, min_size=3, max_size=3))
def test_players_tied_by_derived_features_are_solved_exactly(
    base: float, effects: list[float], joint: list[float]
) -> None:
    groups = dict(zip([(1, 3), (1, 4), (1, 3, 4)], joint, strict=True))
    game = logistic_game(base, effects, groups)
    expected = by_definition(worth_in(game), len(effects))
    assert shapley_values(game).values == pytest.approx(expected, abs=1e-10)


def test_twenty_players_that_each_do_the_same_share_evenly() -> None:
    found = shapley_values(logistic_game(-5.0, [0.5] * 20))
    whole = 1 / (1 + math.exp(-5)) - 1 / (1 + math.exp(5))
    assert found.values == pytest.approx([whole / 20] * 20, abs=1e-10)


@pytest.mark.parametrize("num_players", [3, 8])
def test_networks_of_few_players_are_solved_exactly(num_players: int) -> None:
    game = network_game(num_players)
    expected = by_definition(worth_in(game), num_players)
    assert shapley_values(game).values == pytest.approx(expected, abs=1e-12)


def test_networks_of_many_players_are_estimated_within_half_a_point() -> None:
    game = network_game(MAX_EXACT + 2, seed=3)
    expected = by_definition(worth_in(game), MAX_EXACT + 2)
    found = shapley_values(game).values
    assert max(abs(v) for v in expected) > 0.1
    assert np.abs(found - expected).max() < 0.005


@given(st.lists(LOGITS, min_size=MAX_EXACT + 1, max_size=14))
def test_what_a_logistic_model_explains_is_not_sampled(effects: list[float]) -> None:
    # So many players seem tied that the exact way is closed; in truth they just add.
    tied = logistic_game(-1.0, effects, {tuple(range(MAX_BLOCK + 1)): 0.0})
    expected = shapley_values(logistic_game(-1.0, effects)).values
    assert shapley_values(tied).values == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("num_players", [2, 11, 12, 17, 40])
def test_values_add_up_to_the_difference(num_players: int) -> None:
    game = network_game(num_players, seed=2)
    found = shapley_values(game)
    everybody = worth_in(game)(frozenset(range(num_players)))
    assert found.base == pytest.approx(worth_in(game)(frozenset()), abs=1e-12)
    assert found.base + found.values.sum() == pytest.approx(everybody, abs=1e-9)


@pytest.mark.parametrize("num_players", [5, 14])
def test_who_changes_nothing_gets_nothing(num_players: int) -> None:
    found = shapley_values(network_game(num_players, dummies=(1, 4)))
    assert found.values[[1, 4]].tolist() == [0.0, 0.0]
    assert np.abs(found.values).max() > 0.01


def test_when_nobody_changes_anything_nobody_gets_anything() -> None:
    found = shapley_values(network_game(3, dummies=(0, 1, 2)))
    assert found.values.tolist() == [0.0, 0.0, 0.0]


def test_logits_of_hundreds_still_add_up() -> None:
    game = logistic_game(-900.0, [700.0, 400.0, -100.0, 5.0])
    found = shapley_values(game)
    assert found.values == pytest.approx(by_definition(worth_in(game), 4), abs=1e-9)


def test_many_players_with_logits_of_hundreds_still_add_up() -> None:
    found = shapley_values(logistic_game(-500.0, [80.0, -60.0] * 6 + [400.0, 9.0]))
    assert found.base + found.values.sum() == pytest.approx(1 / (1 + math.exp(-29)), abs=1e-9)


def test_a_feature_of_very_many_columns_is_scored_row_by_row() -> None:
    group = tuple(range(10))
    game = logistic_game(0.3, [0.4] * 10, {group: -2.0})
    assert find_terms(10, game.linked) is None
    assert 2 ** len(group) > MAX_TERMS
    assert shapley_values(game).values == pytest.approx(by_definition(worth_in(game), 10), abs=1e-9)


@pytest.mark.parametrize("num_players", [12, 13, 16, 60])
def test_sampled_coalitions_are_exact_where_players_just_add(num_players: int) -> None:
    plan = plan_coalitions(num_players)
    worth = plan.coalitions @ np.arange(float(num_players)) + 3
    assert plan.weights @ worth == pytest.approx(np.arange(num_players), abs=1e-9)
    assert not plan.coalitions[0].any()
    assert plan.coalitions[-1].all()
    assert len(np.unique(plan.coalitions, axis=0)) == len(plan.coalitions)


def test_equal_games_give_equal_values() -> None:
    plan_coalitions.cache_clear()
    first = shapley_values(network_game(14)).values
    plan_coalitions.cache_clear()
    assert first.tolist() == shapley_values(network_game(14)).values.tolist()


def test_values_do_not_hang_on_the_order_of_players() -> None:
    game = logistic_game(-1.0, [2.0, -1.0, 0.5, 3.0])
    turned = dataclasses.replace(game, encode=lambda c: game.encode(c[:, ::-1]))
    backwards = shapley_values(turned).values[::-1]
    assert shapley_values(game).values == pytest.approx(backwards, abs=1e-10)
