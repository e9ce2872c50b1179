"""Synthetic rows keep the reference's distributions and go together as its rows did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.columns import Columns
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import DriftReference, ReferenceColumn
from fedchurn.drift.relation.synthetic_rows import SyntheticRows, sample_cells
from fedchurn.drift.verdict import RELATION_COLUMN, SCORE_COLUMN, ColumnTest, Subject
from tests.unit.drift.dependent_rows import dependence, labels, normal_pairs, reference

NUM_ROWS = 20_000
SMALL = st.lists(st.integers(0, 5), min_size=1, max_size=6)


def columns_of(correlation: float) -> Columns:
    values = normal_pairs(correlation, NUM_ROWS)
    age = values[:, 0].copy()
    age[np.arange(NUM_ROWS) % 5 == 0] = np.nan
    return {"age": age, "plan": labels(values[:, 1], -1.0, 0.5)}


def own_column(name: str, cells: list[float]) -> ReferenceColumn:
    subject = Subject.SCORE if name == SCORE_COLUMN else Subject.RELATION
    edges = np.linspace(0, 1, len(cells) + 1)[1:-1]
    histogram = Histogram(np.array(cells, dtype=np.float64), 0.0)
    return ReferenceColumn(name, subject, ColumnTest.KS, edges, histogram)


def test_each_column_has_the_distribution_of_the_reference() -> None:
    columns = columns_of(0.6)
    known = reference(columns)
    cells = sample_cells(known, dependence(columns), NUM_ROWS, np.random.default_rng(0))
    assert cells.shape == (NUM_ROWS, 2)
    for place, one in enumerate(known.columns):
        wanted = one.histogram.with_missing() / NUM_ROWS
        drawn = np.bincount(cells[:, place], minlength=len(wanted)) / NUM_ROWS
        np.testing.assert_allclose(drawn, wanted, atol=0.015)
    assert (cells[:, 0] == 62).mean() == pytest.approx(0.2, abs=0.015), "the last cell: missing"


def test_columns_go_together_as_in_the_reference() -> None:
    columns = columns_of(0.6)
    cells = sample_cells(
        reference(columns), dependence(columns), NUM_ROWS, np.random.default_rng(0)
    )
    there = cells[:, 0] < 62
    real = ~np.isnan(columns["age"])
    wanted = np.corrcoef(columns["age"][real], columns["plan"][real])[0, 1]
    assert np.corrcoef(cells[there].T)[0, 1] == pytest.approx(wanted, abs=0.03)


def test_without_dependence_columns_are_drawn_one_by_one() -> None:
    cells = sample_cells(reference(columns_of(0.9)), None, NUM_ROWS, np.random.default_rng(0))
    there = cells[:, 0] < 62
    assert np.corrcoef(cells[there].T)[0, 1] == pytest.approx(0.0, abs=0.03)


@given(st.tuples(SMALL, st.integers(0, 5)).filter(lambda drawn: sum(drawn[0]) + drawn[1] > 0))
def test_no_row_is_in_a_cell_that_nobody_was_in(drawn: tuple[list[int], int]) -> None:
    rows, missing = drawn
    histogram = Histogram(np.array(rows, dtype=np.float64), float(missing))
    column = ReferenceColumn("plan", Subject.COVARIATE, ColumnTest.CHI_SQUARED, None, histogram)
    known = DriftReference(int(histogram.num_rows), (column,))
    cells = sample_cells(known, None, 200, np.random.default_rng(0))
    held = np.flatnonzero(histogram.with_missing())
    assert set(np.unique(cells)) <= set(held.tolist())


def test_the_same_generator_gives_the_same_rows_in_any_portions() -> None:
    columns = columns_of(0.6)
    rows = SyntheticRows(reference(columns), dependence(columns))
    first = rows.draw(50, np.random.default_rng(3))
    np.testing.assert_array_equal(first, rows.draw(50, np.random.default_rng(3)))
    assert (first != rows.draw(50, np.random.default_rng(4))).any()


class TestOwnColumns:
    def drawn(self) -> np.ndarray:
        columns = columns_of(0.6)
        values = normal_pairs(0.6, NUM_ROWS)
        known = reference(columns)
        own = (own_column(SCORE_COLUMN, [6, 3, 1]), own_column(RELATION_COLUMN, [2, 2, 4, 2]))
        known = replace(known, columns=(*known.columns, *own))
        copula = dependence(columns, logit=values[:, 1])
        return sample_cells(known, copula, NUM_ROWS, np.random.default_rng(0))

    def test_they_have_the_distributions_of_held_out_rows(self) -> None:
        cells = self.drawn()
        for place, wanted in ((2, [0.6, 0.3, 0.1]), (3, [0.2, 0.2, 0.4, 0.2])):
            np.testing.assert_allclose(np.bincount(cells[:, place]) / NUM_ROWS, wanted, atol=0.02)

    def test_the_score_goes_with_the_columns(self) -> None:
        cells = self.drawn()
        assert np.corrcoef(cells[:, 1], cells[:, 2])[0, 1] > 0.6

    def test_the_error_is_large_where_columns_disagree(self) -> None:
        cells = self.drawn()
        there = cells[:, 0] < 62
        plan = cells[there, 1] - 1
        age = (cells[there, 0] - 30) / 10
        disagree = (plan * age < -1.5) & (np.abs(plan) == 1)
        errors = cells[there, 3]
        assert errors[disagree].mean() > errors[~disagree].mean() + 0.5
