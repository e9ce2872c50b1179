"""Threshold objectives reach what brute force over all edges reaches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.errors import SettingsError
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums, score_sums
from fedchurn.evaluation.thresholds import Objective, choose_threshold, on_edge

TARGET = np.array([0, 0, 1, 0, 1, 1])
SCORE = np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.9])
SUMS = score_sums(TARGET, SCORE)


def test_f1_by_hand_takes_the_middle_of_the_gap():
    """Calling 0.3 and up: 3 hits, 1 false alarm, F1 6/7; the gap below 0.3 begins at 0.2."""
    choice = choose_threshold(SUMS, Objective("f1"))
    assert choice.value == pytest.approx(6 / 7)
    assert choice.threshold == pytest.approx(0.25, abs=2 / NUM_BINS)
    assert metrics(SUMS, choice.threshold).f1 == choice.value


def test_accuracy_by_hand():
    choice = choose_threshold(SUMS, Objective("accuracy"))
    assert choice.value == pytest.approx(5 / 6)
    assert metrics(SUMS, choice.threshold).accuracy == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("missed_cost", "alarm_cost", "called"), [(100.0, 1.0, 4), (1.0, 100.0, 2)]
)
def test_costs_decide_which_mistake_is_made(missed_cost, alarm_cost, called):
    objective = Objective("cost", false_negative_cost=missed_cost, false_positive_cost=alarm_cost)
    choice = choose_threshold(SUMS, objective)
    assert np.sum(choice.threshold <= SCORE) == called
    assert choice.value == pytest.approx(1 / 6)


def test_top_share_calls_at_most_the_share():
    choice = choose_threshold(SUMS, Objective("top_share", fraction=0.4))
    assert np.sum(choice.threshold <= SCORE) == 2
    assert choice.value == pytest.approx(2 / 6)


def test_top_share_says_when_a_tie_is_too_large():
    tied = score_sums(TARGET, np.full(6, 0.9999))
    choice = choose_threshold(tied, Objective("top_share", fraction=0.4))
    assert "share the highest score" in choice.note


def test_fixed_is_moved_to_the_nearest_edge():
    choice = choose_threshold(SUMS, Objective("fixed", threshold=0.3))
    assert choice.threshold == on_edge(0.3) == 1229 / NUM_BINS
    assert on_edge(1.0) == (NUM_BINS - 1) / NUM_BINS


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=3, max_size=30),
    st.sampled_from(["f1", "accuracy"]),
)
def test_no_edge_is_better(pairs, name):
    sums = score_sums(np.array([y for y, _ in pairs]), np.array([p for _, p in pairs]))
    choice = choose_threshold(sums, Objective(name))
    if choice.note:
        assert sums.num_positive in (0, sums.num_rows)
        return
    candidates = {on_edge(p) for _, p in pairs} | {math.floor(p * 4095) / 4096 for _, p in pairs}
    best = max(getattr(metrics(sums, edge), name) for edge in candidates)
    assert getattr(metrics(sums, choice.threshold), name) >= best - 1e-12


@pytest.mark.parametrize("name", ["f1", "accuracy", "cost", "top_share"])
def test_nothing_to_choose_on_falls_back_and_says_so(name):
    choice = choose_threshold(ScoreSums.zero(), Objective(name))
    assert choice.threshold == 0.5
    assert "0.5 is used" in choice.note


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"name": "f2"}, "accepted: f1, cost"),
        ({"name": "top_shar"}, "did you mean 'top_share'"),
        ({"name": "cost", "false_negative_cost": -1.0}, "must be 0 or more"),
        ({"name": "cost", "false_negative_cost": 0.0, "false_positive_cost": 0.0}, "above 0"),
        ({"fraction": 1.5}, "fraction 1.5"),
        ({"threshold": math.nan}, "threshold nan"),
    ],
)
def test_wrong_settings_are_named(settings_, words):
    with pytest.raises(SettingsError, match=words):
        Objective(**settings_)
