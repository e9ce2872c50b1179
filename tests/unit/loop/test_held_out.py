"""Churn probability and reconstruction error of test rows, as the release keeps them."""

from __future__ import annotations

import numpy as np
import pytest

from fedchurn.drift.verdict import RELATION_COLUMN, SCORE_COLUMN
from fedchurn.evaluation.sums import ScoreSums, score_sums
from fedchurn.federation.drift.dependence import Relation
from fedchurn.federation.drift.dependence_sums import HeldOutSums
from fedchurn.loop.held_out import NUM_SCORE_CELLS, own_histograms, own_pooled, score_edges

ERRORS = np.array([0.0, 6.0, 4.0])


def scores(*probabilities: float) -> ScoreSums:
    return score_sums(np.zeros(len(probabilities)), np.array(probabilities))


def spread(num_rows: int) -> ScoreSums:
    """As many rows, each in a bin of its own, most of them near 0."""
    return scores(*((np.arange(num_rows) + 0.5) / num_rows) ** 2)


def relation(**held_out: HeldOutSums) -> Relation:
    return Relation({}, np.array([1.0, 2.0]), held_out)


def test_cells_hold_about_equally_many_rows() -> None:
    sums = spread(640)
    edges = score_edges(sums)
    assert len(edges) == NUM_SCORE_CELLS - 1
    counts = np.add.reduceat(sums.negative_counts, [0, *edges])
    assert counts.min() >= 5
    assert counts.max() <= 15


def test_equal_probabilities_need_few_cells() -> None:
    # 0.5 begins bin 2048: one cell below it, one for it, one above.
    assert score_edges(scores(*[0.5] * 9)).tolist() == [2049]
    assert score_edges(ScoreSums.zero()).tolist() == [1]


def test_rows_and_edges_of_both_columns() -> None:
    known = relation(a=HeldOutSums(10, 20.0, ERRORS))
    edges, own = own_histograms({"a": spread(10)}, known, min_cell_rows=1)
    assert edges[RELATION_COLUMN] == [1.0, 2.0]
    assert own["a"][RELATION_COLUMN] == {
        "cells": [[1.0, 6.0], [2.0, 4.0]],
        "num_rows": 10,
        "num_effective_rows": 100 / 20,
    }
    score = own["a"][SCORE_COLUMN]
    assert (score["num_rows"], score["num_effective_rows"]) == (10, 5.0)
    assert sum(rows for _, rows in score["cells"]) == 10
    assert all(0 < edge < 1 for edge in edges[SCORE_COLUMN])


def test_a_probability_is_counted_where_a_window_would_count_it() -> None:
    probabilities = np.array([0.1, 0.1, 0.4, 0.9])
    edges, own = own_histograms({"a": scores(*probabilities)}, None, min_cell_rows=1)
    places = np.searchsorted(edges[SCORE_COLUMN], probabilities, side="right")
    wanted = np.unique(places, return_counts=True)
    told = own["a"][SCORE_COLUMN]["cells"]
    assert [(place, rows) for place, rows in told] == list(zip(*wanted, strict=True))


def test_cells_below_k_are_joined_and_few_rows_tell_nothing() -> None:
    _, own = own_histograms({"a": spread(40), "b": spread(4)}, None, min_cell_rows=5)
    assert own["b"] == {}
    rows = np.array([held for _, held in own["a"][SCORE_COLUMN]["cells"]])
    assert rows.sum() == pytest.approx(40)
    heights, sizes = np.unique(rows, return_counts=True)
    assert all(h * n >= 5 - 1e-9 for h, n in zip(heights, sizes, strict=True))


def test_clients_add_up_to_the_pool() -> None:
    known = relation(a=HeldOutSums(10, 20.0, ERRORS), b=HeldOutSums(10, 10.0, ERRORS[::-1]))
    _, own = own_histograms({"a": spread(10), "b": spread(10)}, known, min_cell_rows=1)
    pooled = own_pooled(own)
    assert pooled[RELATION_COLUMN] == {
        "cells": [[0.0, 4.0], [1.0, 12.0], [2.0, 4.0]],
        "num_rows": 20,
        "num_effective_rows": pytest.approx(400 / 30),
    }
    assert pooled[SCORE_COLUMN]["num_effective_rows"] == pytest.approx(400 / 30)


def test_without_errors_there_is_no_such_column() -> None:
    few_columns = Relation({}, np.zeros(0), {"a": HeldOutSums(10, 10.0, np.array([10.0]))})
    edges, own = own_histograms({"a": spread(10)}, few_columns, min_cell_rows=1)
    assert list(edges) == [SCORE_COLUMN]
    assert list(own_pooled(own)) == [SCORE_COLUMN]
