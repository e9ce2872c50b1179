"""A copula from sums: it finds the dependence that rows were made with."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fedchurn.contract.columns import Columns
from fedchurn.drift.relation.dependence import (
    DependenceSums,
    coordinate_names,
    fit_dependence,
    read_dependence,
)
from fedchurn.drift.relation.latent_correlation import positive_definite
from tests.unit.drift.dependent_rows import (
    EDGES,
    correlations,
    dependence,
    labels,
    normal_pairs,
    scored,
)

NUM_ROWS = 20_000
COLUMNS: Columns = {
    "age": np.where(np.arange(200) % 7 == 0, np.nan, normal_pairs(0.6, 200)[:, 0]),
    "plan": labels(normal_pairs(0.6, 200)[:, 1], 0.0),
}


@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.5])
def test_the_correlation_of_numbers_is_found(correlation: float) -> None:
    values = normal_pairs(correlation, NUM_ROWS)
    # A monotone curve on one side changes nothing: scores are ranks.
    found = dependence({"age": np.cbrt(values[:, 0]), "visits": values[:, 1]})
    assert correlations(found)["age", "visits"] == pytest.approx(correlation, abs=0.02)


@pytest.mark.parametrize("correlation", [-0.8, 0.3, 0.6])
def test_the_correlation_behind_yes_and_no_is_found(correlation: float) -> None:
    values = normal_pairs(correlation, NUM_ROWS)
    found = dependence({"a": labels(values[:, 0], 0.0), "b": labels(values[:, 1], 1.0)})
    assert correlations(found)["a", "b"] == pytest.approx(correlation, abs=0.05)


def test_missing_values_have_a_dependence_of_their_own() -> None:
    values = normal_pairs(0.7, NUM_ROWS)
    age = np.random.default_rng(1).standard_normal(NUM_ROWS)
    age[values[:, 0] > 1] = np.nan
    found = correlations(dependence({"age": age, "visits": values[:, 1]}))
    assert found["age?", "visits"] == pytest.approx(0.7, abs=0.05)
    assert found["age", "visits"] == pytest.approx(0.0, abs=0.03)


def test_values_of_two_columns_are_compared_where_both_are_there() -> None:
    values = normal_pairs(0.8, NUM_ROWS)
    generator = np.random.default_rng(1)
    for column in range(2):
        values[generator.random(NUM_ROWS) < 0.5, column] = np.nan
    found = correlations(dependence({"age": values[:, 0], "visits": values[:, 1]}))
    assert found["age", "visits"] == pytest.approx(0.8, abs=0.03)
    assert found["age?", "visits?"] == pytest.approx(0.0, abs=0.03)


def test_the_models_score_goes_with_a_column() -> None:
    values = normal_pairs(-0.6, NUM_ROWS)
    found = dependence({"age": values[:, 0]}, logit=3 * values[:, 1] - 2)
    assert correlations(found)["age", "churn_probability"] == pytest.approx(-0.6, abs=0.02)


def test_columns_without_a_difference_go_with_nothing() -> None:
    columns: Columns = {
        "same": np.zeros(50),
        "gone": np.full(50, np.nan),
        "plan": np.tile([0, 1], 25).astype(np.int32),
    }
    found = dependence(columns)
    np.testing.assert_array_equal(found.correlation, np.eye(4))
    assert np.isfinite(found.errors(columns)).all()


def test_no_rows_at_all_say_that_columns_are_independent() -> None:
    known = scored({"age": normal_pairs(0.5, 20)[:, 0], "plan": np.zeros(20, dtype=np.int32)})
    size = len(coordinate_names(known))
    nothing = DependenceSums(0, np.zeros(size, np.int64), np.zeros((size, size), np.int64))
    np.testing.assert_array_equal(fit_dependence(known, nothing).correlation, np.eye(size))


class TestReconstructionError:
    def test_it_is_large_where_columns_disagree(self) -> None:
        values = normal_pairs(0.95, NUM_ROWS)
        found = dependence({"age": values[:, 0], "visits": values[:, 1]})
        rows: Columns = {"age": np.array([1.5, 1.5]), "visits": np.array([1.5, -1.5])}
        together, apart = found.errors(rows)
        # The only component kept is the mean of both; half of the difference is left, twice.
        assert together == pytest.approx(0.0, abs=0.1)
        assert apart == pytest.approx(np.sqrt(2) * 1.5, abs=0.1)

    def test_fewer_than_two_columns_leave_no_component(self) -> None:
        found = dependence({"age": normal_pairs(0.5, 50)[:, 0]})
        assert found.components.shape == (0, 1)

    def test_components_explain_seventy_percent_but_never_all(self) -> None:
        shared, own = np.random.default_rng(2).standard_normal((2, NUM_ROWS, 4))
        columns = {f"x{n}": 0.9 * shared[:, 0] + 0.4 * own[:, n] for n in range(4)}
        assert dependence(columns).components.shape == (1, 4)
        independent = {f"x{n}": own[:, n] for n in range(2)}
        assert dependence(independent).components.shape == (1, 2)

    def test_components_are_orthonormal(self) -> None:
        values = np.random.default_rng(3).standard_normal((500, 6))
        kept = dependence({f"x{n}": values[:, n] for n in range(6)}).components
        np.testing.assert_allclose(kept @ kept.T, np.eye(len(kept)), atol=1e-8)

    def test_a_lacking_column_is_told(self) -> None:
        values = normal_pairs(0.5, 50)
        found = dependence({"age": values[:, 0], "visits": values[:, 1]})
        assert found.covers({"age": values[:, 0], "visits": values[:, 1]})
        assert not found.covers({"age": values[:, 0]})


class TestFile:
    def stored(self) -> dict[str, object]:
        age, plan = scored(COLUMNS)
        cells = [[place, rows] for place, rows in enumerate(age.cells.tolist()) if rows]
        labelled = {"cells": plan.cells[:-1].tolist(), "missing": plan.missing, "unknown": 0.0}
        content = {
            "edges": {"age": EDGES.tolist()},
            "pooled": {
                "numbers": {"age": {"cells": cells, "missing": age.missing}},
                "categories": {"plan": labelled},
            },
            "dependence": dependence(COLUMNS).to_json(),
        }
        back: dict[str, object] = json.loads(json.dumps(content, allow_nan=False))
        return back

    def test_what_is_read_gives_the_same_errors(self) -> None:
        made, read = dependence(COLUMNS), read_dependence(self.stored())
        assert read is not None
        assert read.names == made.names == ("age", "plan", "age?", "churn_probability")
        np.testing.assert_array_equal(read.correlation, made.correlation)
        assert read.errors(COLUMNS).tobytes() == made.errors(COLUMNS).tobytes()

    def test_an_older_file_has_none(self) -> None:
        assert read_dependence({"dependence": None}) is None
        assert read_dependence({}) is None

    def test_dependence_of_other_columns_is_refused(self) -> None:
        content = self.stored()
        content["dependence"]["coordinates"] = ["age", "plan"]  # type: ignore[index]
        with pytest.raises(ValueError, match="dependence of"):
            read_dependence(content)


@given(
    st.integers(1, 6).flatmap(
        lambda size: arrays.arrays(
            np.float64, (size, size), elements=st.floats(-1, 1, allow_subnormal=False)
        )
    )
)
def test_any_matrix_becomes_a_correlation_matrix(values: np.ndarray) -> None:
    matrix = (values + values.T) / 2
    np.fill_diagonal(matrix, 1.0)
    found = positive_definite(matrix)
    np.testing.assert_array_equal(np.diag(found), 1.0)
    np.testing.assert_array_equal(found, found.T)
    assert np.linalg.eigvalsh(found)[0] > 1e-5
    already = positive_definite(found)
    np.testing.assert_allclose(already, found, atol=2e-3)
