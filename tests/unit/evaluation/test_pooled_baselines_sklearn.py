"""Pooled baselines: honest about rows, strong enough to be an anchor, robust to odd clients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedchurn.data.client_table import TEST, VALIDATION
from fedchurn.errors import DataError
from fedchurn.evaluation.comparison import each_client_alone
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.pooled_baselines_sklearn import (
    logistic_regression_alone,
    pooled_baselines,
    pooled_gradient_boosting,
    pooled_logistic_regression,
)
from tests.unit.evaluation.tables import made_up_client

TABLES = [made_up_client("a", 1), made_up_client("b", 2), made_up_client("c", 3)]


def auc(scored):
    return metrics(scored.pooled_test).roc_auc


@pytest.fixture(scope="module")
def boosted():
    return pooled_gradient_boosting(TABLES, seed=5)


def test_all_three_are_scored_on_all_test_rows(boosted):
    scores = pooled_baselines(TABLES, seed=5)
    assert [s.name for s in scores] == [
        "majority",
        "pooled logistic regression",
        "pooled gradient boosting",
    ]
    for scored in scores:
        assert {c: s.num_rows for c, s in scored.test.items()} == {
            t.client: int((t.split == TEST).sum()) for t in TABLES
        }
        assert scored.validation.num_rows == sum((t.split == VALIDATION).sum() for t in TABLES)
    assert scores[2].pooled_test == boosted.pooled_test  # seeded
    assert auc(scores[1]) > 0.72
    assert auc(scores[2]) > 0.72
    assert auc(scores[0]) == 0.5


@pytest.mark.parametrize(
    "train", [pooled_logistic_regression, lambda t: pooled_gradient_boosting(t, seed=5)]
)
def test_test_labels_influence_nothing_but_the_counting(train):
    flipped = [
        dataclasses.replace(t, target=np.where(t.split == TEST, 1 - t.target, t.target))
        for t in TABLES
    ]
    honest, cheated = train(TABLES), train(flipped)
    assert honest.settings == cheated.settings
    assert honest.validation == cheated.validation
    before, after = honest.pooled_test, cheated.pooled_test
    assert np.array_equal(before.positive_counts, after.negative_counts)


def test_without_refit_validation_rows_only_choose():
    """Settings stay the same; the fit does not see validation rows."""
    refitted = pooled_logistic_regression(TABLES)
    plain = pooled_logistic_regression(TABLES, refit=False)
    assert plain.settings == refitted.settings
    assert plain.validation == refitted.validation
    assert plain.pooled_test != refitted.pooled_test


def test_thorough_holds_out_every_training_row_once():
    small = [t.take(np.arange(150)) for t in TABLES]
    scored = pooled_gradient_boosting(small, seed=5, thorough=True)
    assert "inner folds" in scored.explanation
    assert scored.validation.num_rows == sum((t.split != TEST).sum() for t in small)
    assert auc(scored) > 0.65


def test_each_client_alone_scores_everybody_and_survives_one_class():
    tables = [*TABLES[:2], made_up_client("stayers", 9, one_class=True)]
    alone = each_client_alone(logistic_regression_alone, tables)
    assert list(alone) == ["a", "b", "stayers"]
    assert set(alone["a"].test) == {"a", "b", "stayers"}
    assert auc(alone["a"]) > 0.65
    assert "one class" in alone["stayers"].explanation
    assert auc(alone["stayers"]) == 0.5


def test_codes_unseen_in_training_and_empty_columns_are_no_obstacle():
    def odd(table):
        many = np.arange(table.num_rows, dtype=np.int32) % 300
        return dataclasses.replace(
            table,
            columns={
                **table.columns,
                "many": np.where(table.split == TEST, 5000 + many, many).astype(np.int32),
                "empty": np.full(table.num_rows, np.nan),
                "blank": np.full(table.num_rows, -1, np.int32),
            },
        )

    tables = [odd(t) for t in TABLES]
    assert auc(pooled_logistic_regression(tables)) > 0.65
    assert auc(pooled_gradient_boosting(tables, seed=1)) > 0.65


def test_unsplit_rows_and_other_columns_are_named():
    unsplit = dataclasses.replace(TABLES[1], split=np.empty(0, np.int8))
    with pytest.raises(DataError, match="client b: rows are not split"):
        pooled_baselines([TABLES[0], unsplit], seed=1)
    narrow = dataclasses.replace(TABLES[1], columns={"noise": TABLES[1].columns["noise"]})
    with pytest.raises(DataError, match=r"client b: columns \['noise'\]"):
        pooled_baselines([TABLES[0], narrow], seed=1)
