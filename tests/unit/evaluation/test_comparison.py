"""The table "the price of privacy"."""

from __future__ import annotations

import numpy as np
import pytest

from fedchurn.evaluation.comparison import (
    Scored,
    compare,
    compare_alone,
    each_client_alone,
    majority,
)
from fedchurn.evaluation.sums import score_sums
from fedchurn.evaluation.thresholds import Objective
from tests.unit.evaluation.tables import made_up_client

RIGHT = score_sums(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.9]))
WRONG = score_sums(np.array([0, 1]), np.array([0.9, 0.1]))
STAYERS = score_sums(np.array([0, 0, 0, 0]), np.array([0.1, 0.1, 0.1, 0.9]))


def test_the_threshold_comes_from_validation_rows_and_counts_from_test_rows():
    validation = score_sums(np.array([0, 1]), np.array([0.3, 0.4]))
    comparison = compare(Scored("m", "", validation, {"a": RIGHT, "b": WRONG}), Objective("f1"))
    assert 0.3 < comparison.metrics["threshold"] <= 0.4
    assert comparison.metrics["num_rows"] == 5
    assert comparison.metrics["accuracy"] == pytest.approx(3 / 5)


def test_majority_names_nobody_even_when_the_objective_would():
    tables = [made_up_client("a", 1), made_up_client("b", 2, one_class=True)]
    values = compare(majority(tables), Objective("f1")).metrics
    assert values["recall"] == 0.0
    assert values["accuracy"] == values["majority_accuracy"]
    assert values["roc_auc"] == 0.5


def test_alone_trains_once_per_client_and_scores_everybody():
    tables = [made_up_client("a", 1), made_up_client("b", 2)]
    asked = []

    def train(own, everybody):
        asked.append((own.client, [t.client for t in everybody]))
        return majority([own])

    assert list(each_client_alone(train, tables)) == ["a", "b"]
    assert asked == [("a", ["a", "b"]), ("b", ["a", "b"])]


def test_alone_on_all_rows_and_on_own_rows_by_hand():
    fixed = Objective("fixed")
    alone = {
        "a": Scored("a alone", "", RIGHT, {"a": RIGHT, "b": WRONG}),
        "b": Scored("b alone", "", WRONG, {"a": RIGHT, "b": WRONG}),
    }
    everywhere, at_home = compare_alone(alone, fixed)
    assert everywhere.metrics["accuracy"] == pytest.approx(3 / 5)
    assert at_home.metrics["accuracy"] == pytest.approx((3 * 1 + 2 * 0) / 5)
    assert at_home.metrics["roc_auc"] == pytest.approx((3 * 1 + 2 * 0) / 5)
    assert at_home.metrics["num_rows"] is None
    assert at_home.metrics["threshold"] is None


def test_a_client_of_one_class_is_left_out_of_the_auc_only():
    alone = {
        "a": Scored("a alone", "", RIGHT, {"a": RIGHT}),
        "b": Scored("b alone", "", STAYERS, {"b": STAYERS}),
    }
    _, at_home = compare_alone(alone, Objective("fixed"))
    assert at_home.metrics["roc_auc"] == 1.0
    assert at_home.metrics["accuracy"] == pytest.approx((3 * 1 + 4 * 0.75) / 7)
