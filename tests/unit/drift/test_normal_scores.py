"""Normal scores by hand."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from fedchurn.contract.columns import MISSING, UNKNOWN
from fedchurn.drift.relation.normal_scores import (
    cell_places,
    coordinates,
    inverse_normal,
    scored_column,
    thresholds,
)

EDGES = np.array([0.5, 1.5])


def quantile_ticks(share: float) -> int:
    return round(NormalDist().inv_cdf(share) * 4096)


def test_a_score_is_the_normal_quantile_of_the_middle_of_a_cell() -> None:
    column = scored_column("visits", EDGES, np.array([1.0, 2.0, 1.0]), 0.0)
    assert column.ticks.tolist() == [quantile_ticks(0.125), 0, quantile_ticks(0.875), 0]
    assert column.missing_ticks is None


def test_missing_values_stand_in_the_middle_and_are_told_beside() -> None:
    column = scored_column("visits", EDGES, np.array([1.0, 0.0, 2.0]), 1.0)
    assert column.ticks[-1] == 0
    assert column.missing_ticks is not None
    assert column.missing_ticks.tolist() == [quantile_ticks(0.375), quantile_ticks(0.875)]
    assert column.missing_fraction == 0.25
    places = [np.array([2, 3])]
    assert coordinates([column], places).tolist() == [
        [quantile_ticks(2 / 3), quantile_ticks(0.375)],
        [0, quantile_ticks(0.875)],
    ]


def test_values_that_the_reference_never_had_get_finite_scores() -> None:
    column = scored_column("plan", None, np.array([3.0, 1.0, 0.0]), 0.0)
    assert column.ticks[2] == quantile_ticks(1 - 0.5 / 5)
    below = scored_column("visits", EDGES, np.array([0.0, 3.0, 1.0]), 0.0)
    assert below.ticks[0] == quantile_ticks(0.5 / 5)


def test_a_column_without_values_scores_nothing() -> None:
    column = scored_column("visits", EDGES, np.zeros(3), 7.0)
    assert column.ticks.tolist() == [0, 0, 0, 0]
    assert column.missing_ticks is None
    assert column.missing_fraction == 1.0
    assert scored_column("visits", EDGES, np.zeros(3), 0.0).missing_fraction == 0.0


def test_cells_of_canonical_values() -> None:
    numbers = np.array([-1.0, 0.5, 9.0, np.nan])
    assert cell_places(numbers, EDGES, 3).tolist() == [0, 1, 2, 3]
    codes = np.array([0, 1, UNKNOWN, MISSING], dtype=np.int32)
    assert cell_places(codes, None, 3).tolist() == [0, 1, 2, 3]


def test_thresholds_cut_a_normal_value_into_the_wanted_shares() -> None:
    inner = thresholds(np.array([0.0, 0.25, 0.0, 0.75, 0.0]))
    assert inner[0] == -np.inf
    np.testing.assert_allclose(inner[1:3], NormalDist().inv_cdf(0.25))
    assert inner[3] == np.inf
    assert inverse_normal(np.array([0.0, 0.5, 1.0])).tolist() == [-np.inf, 0.0, np.inf]
