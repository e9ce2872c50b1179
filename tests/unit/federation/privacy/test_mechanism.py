"""Clipping to the number, noise of the right size, and a key that gives it again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from fedchurn.federation.privacy.keyed_noise import (
    KEY_BYTES,
    QuestionNoise,
    new_key,
    normals,
    uniforms,
)
from fedchurn.federation.privacy.mechanism import (
    clipped_sum,
    count_noise_std,
    next_clip_norm,
    noisy_mean,
    update_noise_multiplier,
)

KEY = np.arange(KEY_BYTES, dtype=np.uint8)


def test_long_updates_are_shortened_to_the_clip_norm_and_short_ones_left() -> None:
    total = clipped_sum([np.array([3.0, 4.0]), np.array([0.0, 0.5])], [], 2.5, 2)
    assert total.tolist() == [1.5, 2.5]


def test_a_sum_over_clients_is_taken_as_it_is() -> None:
    assert clipped_sum([], [np.array([30.0, 40.0])], 1.0, 2).tolist() == [30.0, 40.0]


def test_a_round_of_nobody_sums_to_zero() -> None:
    assert clipped_sum([], [], 1.0, 3).tolist() == [0.0, 0.0, 0.0]


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=6),
    st.floats(1e-3, 1e3),
)
def test_one_client_moves_the_sum_by_the_clip_norm_at_most(
    updates: list[list[float]], clip_norm: float
) -> None:
    vectors = [np.array(update) for update in updates]
    moved = clipped_sum(vectors, [], clip_norm, 3) - clipped_sum(vectors[1:], [], clip_norm, 3)
    assert np.linalg.norm(moved) <= clip_norm * (1 + 1e-6)


def test_noise_is_standard_normal() -> None:
    drawn = normals(KEY, "round 1 update", 200_000)
    assert drawn.std() == pytest.approx(1.0, abs=0.01)
    assert kstest(drawn, "norm").pvalue > 1e-3


def test_the_noise_on_the_mean_has_the_size_that_is_accounted() -> None:
    mean = noisy_mean(np.zeros(200_000), 0.5, 3.0, 10.0, KEY, 1)
    assert mean.std() == pytest.approx(3.0 * 0.5 / 10.0, rel=0.01)


def test_equal_keys_and_rounds_give_equal_noise_and_others_do_not() -> None:
    total = np.ones(50)
    first = noisy_mean(total, 1.0, 1.0, 1.0, KEY, 1)
    assert np.array_equal(first, noisy_mean(total, 1.0, 1.0, 1.0, KEY, 1))
    for other in (noisy_mean(total, 1.0, 1.0, 1.0, KEY, 2), normals(new_key(), "x", 50)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.7
        assert not np.array_equal(first, other)


def test_keys_and_single_noise_come_anew_from_the_operating_system() -> None:
    assert new_key().tobytes() != new_key().tobytes()
    noise = QuestionNoise()
    assert not np.array_equal(noise.of("first")(8), noise.of("second")(8))
    assert len(new_key()) == KEY_BYTES


def test_uniform_numbers_are_inside_their_bounds() -> None:
    drawn = uniforms(KEY, "a", 10_000)
    assert 0 < drawn.min() < drawn.max() < 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.02)


@given(st.floats(0.1, 100.0), st.floats(0.01, 0.99))
def test_count_and_update_together_spend_what_one_mechanism_would(
    noise_multiplier: float, share: float
) -> None:
    """Inverse variances over squared sensitivities add up; the count's sensitivity is 1/2."""
    update = update_noise_multiplier(noise_multiplier, share)
    count = count_noise_std(noise_multiplier, share) / 0.5
    assert update**-2 + count**-2 == pytest.approx(noise_multiplier**-2)


@pytest.mark.parametrize(("num_short", "grows"), [(10.0, False), (0.0, True)])
def test_the_clip_norm_follows_the_quantile(num_short: float, *, grows: bool) -> None:
    after = next_clip_norm(
        1.0,
        num_short,
        10,
        expected_clients=10.0,
        noise_std=0.0,
        target_quantile=0.5,
        learning_rate=0.2,
        key=KEY,
        round_num=1,
    )
    # All updates are short: exp(-0.2 (1 - 0.5)); none is: exp(0.2 * 0.5).
    assert after == pytest.approx(np.exp(0.1 if grows else -0.1))


def test_the_clip_norm_settles_where_half_of_the_updates_are_short() -> None:
    lengths = np.linspace(0.1, 10.0, 100)
    clip_norm = 0.1
    for round_num in range(1, 200):
        clip_norm = next_clip_norm(
            clip_norm,
            float((lengths <= clip_norm).sum()),
            100,
            expected_clients=100.0,
            noise_std=1.0,
            target_quantile=0.5,
            learning_rate=0.2,
            key=KEY,
            round_num=round_num,
        )
    assert clip_norm == pytest.approx(np.median(lengths), rel=0.1)
