"""Chances of k of n windows by hand and by counting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.drift.promise.persistence import at_least, chance_of_alarm, needed_chance


def test_two_of_three_by_hand() -> None:
    # flagged now, and in at least one of two before: 0.1 * (1 - 0.9^2)
    assert chance_of_alarm(np.array([0.1]), 2, 3) == pytest.approx([0.019])


@given(st.floats(0, 1), st.integers(0, 5), st.integers(0, 5))
def test_at_least_counts_all_outcomes(chance: float, num_hits: int, num_trials: int) -> None:
    expected = sum(
        float(np.prod([chance if hit else 1 - chance for hit in outcome]))
        for outcome in itertools.product((False, True), repeat=num_trials)
        if sum(outcome) >= num_hits
    )
    assert float(at_least(np.array(chance), num_hits, num_trials)) == pytest.approx(expected)


def test_the_needed_chance_gives_the_power() -> None:
    chance = needed_chance(0.8, 2, 3)
    assert 3 * chance**2 - 2 * chance**3 == pytest.approx(0.8)
    assert needed_chance(0.8, 1, 1) == pytest.approx(0.8)
