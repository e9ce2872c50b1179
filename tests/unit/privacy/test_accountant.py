"""The accountant against values that are known without it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fedchurn.errors import PrivacyError
from fedchurn.privacy.accountant import accountant_name, epsilon_of, noise_multiplier_for
from fedchurn.privacy.spending import Spending

DELTA = 1e-5


def gaussian_delta(noise_multiplier: float, epsilon: float) -> float:
    """Delta of the Gaussian mechanism (Balle and Wang 2018, theorem 8)."""
    half, cost = 1 / (2 * noise_multiplier), epsilon * noise_multiplier
    return float(norm.cdf(half - cost) - math.exp(epsilon) * norm.cdf(-half - cost))


def central(num_rounds: int, noise_multiplier: float, rate: float = 1.0) -> Spending:
    return Spending("central", num_rounds, noise_multiplier, rate)


@pytest.mark.parametrize("noise_multiplier", [0.7, 1.0, 4.0, 50.0])
def test_one_gaussian_mechanism_has_its_closed_form(noise_multiplier: float) -> None:
    epsilon = epsilon_of([central(1, noise_multiplier)], DELTA)
    assert gaussian_delta(noise_multiplier, epsilon) == pytest.approx(DELTA, rel=1e-6)


def test_a_known_value() -> None:
    """The textbook sqrt(2 ln(1.25 / delta)) noise for epsilon 1 is more than is needed."""
    assert epsilon_of([central(1, 4.8448)], DELTA) < 0.8
    assert epsilon_of([central(1, 1.0)], DELTA) == pytest.approx(4.3772, abs=1e-4)


def test_rounds_without_sampling_compose_to_one_mechanism() -> None:
    assert epsilon_of([central(25, 5.0)], DELTA) == epsilon_of([central(1, 1.0)], DELTA)


def test_trainings_are_composed_and_not_added() -> None:
    one = central(30, 3.2876)
    alone, twice = epsilon_of([one], DELTA), epsilon_of([one, one], DELTA)
    assert alone == pytest.approx(8.0, abs=1e-3)
    assert twice == pytest.approx(epsilon_of([central(60, 3.2876)], DELTA))
    assert alone < twice < 2 * alone


def test_two_mechanisms_add_their_inverse_variances() -> None:
    both = [central(1, 2.0), Spending("local", 1, 2.0)]
    assert epsilon_of(both, DELTA) == pytest.approx(epsilon_of([central(1, math.sqrt(2))], DELTA))


def test_sampling_amplifies_and_never_costs_more() -> None:
    whole, half, tenth = (epsilon_of([central(50, 2.0, rate)], DELTA) for rate in (1.0, 0.5, 0.1))
    assert 0 < tenth < half < whole


def test_one_sampled_round_is_the_mixture() -> None:
    """delta(eps) of Poisson sampling is that of (1 - q) P + q Q against P, in the worse order."""
    rate, noise_multiplier = 0.3, 1.0
    epsilon = epsilon_of([central(1, noise_multiplier, rate)], DELTA)
    removed = math.log(1 + (math.exp(epsilon) - 1) / rate)
    assert rate * gaussian_delta(noise_multiplier, removed) == pytest.approx(DELTA, rel=2e-3)


@pytest.mark.parametrize(("epsilon", "rate"), [(8.0, 1.0), (1.0, 1.0), (1.0, 0.1)])
def test_the_noise_for_a_target_meets_it_closely(epsilon: float, rate: float) -> None:
    noise_multiplier = noise_multiplier_for(epsilon, DELTA, 20, rate)
    spent = epsilon_of([central(20, noise_multiplier, rate)], DELTA)
    assert 0.98 * epsilon < spent <= epsilon * (1 + 1e-9)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.3, 50.0), st.integers(1, 500))
def test_more_rounds_never_spend_less(noise_multiplier: float, num_rounds: int) -> None:
    fewer = epsilon_of([central(num_rounds, noise_multiplier)], DELTA)
    assert fewer <= epsilon_of([central(num_rounds + 1, noise_multiplier)], DELTA)


def test_nothing_spent_is_zero() -> None:
    assert epsilon_of([], DELTA) == 0.0
    assert epsilon_of([central(0, 1.0), central(5, 1.0, 0.0)], DELTA) == 0.0


def test_no_noise_is_refused() -> None:
    with pytest.raises(PrivacyError, match="noise multiplier 0"):
        epsilon_of([central(1, 0.0)], DELTA)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0])
def test_an_impossible_delta_is_refused(delta: float) -> None:
    with pytest.raises(PrivacyError, match="delta"):
        epsilon_of([central(1, 1.0)], delta)


@pytest.mark.parametrize("wrong", [(0.0, 1e-5, 1, 1.0), (1.0, 1e-5, 0, 1.0), (1.0, 1e-5, 1, 0.0)])
def test_an_impossible_target_is_refused(wrong: tuple[float, float, int, float]) -> None:
    with pytest.raises(PrivacyError, match="no noise for"):
        noise_multiplier_for(*wrong)


def test_the_card_names_the_accountant() -> None:
    assert accountant_name().startswith("dp-accounting 0.")
