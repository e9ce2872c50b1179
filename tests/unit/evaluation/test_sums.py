"""Score sums: exact, addable in any order, and safe to carry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.errors import DataError
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums, add_sums, score_sums

rows = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), max_size=60)


def sums_of(pairs):
    return score_sums(np.array([y for y, _ in pairs]), np.array([p for _, p in pairs], float))


def bytes_of(sums):
    return b"".join(array.tobytes() for array in sums.to_arrays().values())


def test_two_rows_by_hand():
    sums = score_sums(np.array([1, 0]), np.array([0.75, 0.5]))
    assert (sums.num_rows, sums.num_positive, sums.num_negative) == (2, 1, 1)
    assert sums.log_loss_sum == pytest.approx(-math.log(0.75) - math.log(0.5), abs=2e-9)
    assert sums.squared_error_sum == 0.25**2 + 0.5**2
    assert sums.positive_counts[3072] == 1
    assert sums.negative_counts[2048] == 1


def test_certain_and_wrong_costs_what_the_clip_says():
    sums = score_sums(np.array([1, 0]), np.array([0.0, 1.0]))
    assert sums.log_loss_sum == pytest.approx(-2 * math.log(1e-12), rel=1e-4)
    assert sums.positive_counts[0] == 1
    assert sums.negative_counts[NUM_BINS - 1] == 1


@given(rows, st.randoms())
def test_any_dealing_to_clients_in_any_order_gives_the_same_bytes(pairs, random):
    clients = [[], [], []]
    for pair in pairs:
        random.choice(clients).append(pair)
    random.shuffle(clients)
    pooled = add_sums(sums_of(part) for part in clients)
    assert bytes_of(pooled) == bytes_of(sums_of(pairs))
    assert pooled == sums_of(pairs)


@given(rows)
def test_zero_is_neutral(pairs):
    assert ScoreSums.zero() + sums_of(pairs) == sums_of(pairs)


@given(rows)
def test_arrays_carry_everything(pairs):
    arrays = sums_of(pairs).to_arrays()
    assert all(array.dtype == np.int64 for array in arrays.values())
    assert ScoreSums.from_arrays({**arrays, "other": np.zeros(3)}) == sums_of(pairs)


def test_float32_probabilities_are_taken_as_they_are():
    probability = np.array([0.5, 0.25], dtype=np.float32)
    assert score_sums(np.array([0, 1], np.int8), probability).positive_counts[1024] == 1


@pytest.mark.parametrize(
    ("target", "probability", "words"),
    [
        ([0, 1], [0.5, np.nan], "probability nan"),
        ([0, 1], [0.5, 1.5], "probability 1.5"),
        ([0, 2], [0.5, 0.5], "target 2.0"),
        ([0], [0.5, 0.5], "cannot be compared"),
    ],
)
def test_bad_rows_are_named(target, probability, words):
    with pytest.raises(DataError, match=words):
        score_sums(np.array(target), np.array(probability))


@pytest.mark.parametrize(
    "change",
    [
        {"score_totals": np.array([3, 1, 0, 0])},
        {"score_totals": np.array([2])},
        {"score_positive_counts": np.zeros(8, np.int64)},
        {"score_positive_counts": np.zeros(NUM_BINS, np.int64)},
    ],
)
def test_arrays_that_contradict_themselves_are_refused(change):
    arrays = sums_of([(1, 0.7), (0, 0.2)]).to_arrays()
    with pytest.raises(DataError):
        ScoreSums.from_arrays({**arrays, **change})


def test_a_missing_array_is_refused():
    with pytest.raises(DataError, match="score_totals"):
        ScoreSums.from_arrays({})
