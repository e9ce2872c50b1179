"""Round 0: sums add up, and no cell stands for fewer than k rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.columns import MISSING, UNKNOWN, add_derived
from fedchurn.contract.schema import Contract
from fedchurn.encoding.statistics import (
    client_statistics,
    merge_small_cells,
    pool_statistics,
    statistics_from_arrays,
    statistics_to_arrays,
)
from tests.unit.encoding.small_contract import CONTRACT, columns_of


def test_small_neighbours_are_merged_and_their_total_is_kept() -> None:
    merged = merge_small_cells(np.array([4, 1, 0, 9]), 5)
    assert merged.tolist() == [2.5, 2.5, 0.0, 9.0]


def test_a_cell_of_many_rows_is_not_spread_over_its_rare_neighbours() -> None:
    merged = merge_small_cells(np.array([1, 200, 0, 3, 3, 90, 0, 2]), 5)
    assert merged.tolist() == [0.0, 201.0, 0.0, 3.0, 3.0, 92.0, 0.0, 0.0]


def test_fewer_than_k_rows_are_not_reported_at_all() -> None:
    assert merge_small_cells(np.array([2, 0, 2]), 5).tolist() == [0.0, 0.0, 0.0]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(1, 8))
def test_merged_cells_keep_the_total_and_never_show_a_small_group(
    counts: list[int], k: int
) -> None:
    merged = merge_small_cells(np.array(counts), k)
    total = sum(counts)
    assert np.isclose(merged.sum(), total if total >= k else 0)
    cells, sizes = np.unique(merged[merged > 0], return_counts=True)
    # Cells of equal height may be one group; each height must account for at least k rows.
    assert all(height * size >= k - 1e-9 for height, size in zip(cells, sizes, strict=True))


def test_numbers_are_summed_and_extremes_are_means_of_k_values() -> None:
    columns = columns_of(age=[10, 20, 30, 40, np.nan, np.nan], plan=[0, 0, 0, 1, 1, MISSING])
    sums = client_statistics(columns, np.zeros(6, np.int8), CONTRACT, min_cell_rows=2).numbers[
        "age"
    ]
    assert (sums.count, sums.missing, sums.total) == (4, 2, 100)
    assert (sums.low, sums.high) == (15, 35)


def test_small_categories_are_counted_with_the_most_common_one() -> None:
    columns = columns_of(age=[1.0] * 6, plan=[0, 0, 0, 1, UNKNOWN, MISSING])
    counts = client_statistics(columns, np.zeros(6, np.int8), CONTRACT, min_cell_rows=2).categories[
        "plan"
    ]
    assert counts.cells.tolist() == [6, 0]
    assert (counts.missing, counts.unknown) == (0, 0)


def test_few_missing_numbers_cannot_be_found_by_subtraction() -> None:
    columns = columns_of(age=[10, 20, 30, 40, np.nan], plan=[0] * 5)
    sums = client_statistics(columns, np.zeros(5, np.int8), CONTRACT, min_cell_rows=2).numbers[
        "age"
    ]
    assert (sums.count, sums.missing, sums.total, sums.cells.sum()) == (5, 0, 125, 5)


def test_pooled_statistics_equal_those_of_pooled_rows_without_suppression() -> None:
    generator = np.random.default_rng(0)
    parts = [
        columns_of(age=generator.normal(40, 9, 50).round(), plan=generator.integers(0, 2, 50))
        for _ in range(3)
    ]
    together = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    target = generator.integers(0, 2, 150).astype(np.int8)
    pooled = pool_statistics(
        [
            client_statistics(part, target[50 * i : 50 * i + 50], CONTRACT, min_cell_rows=1)
            for i, part in enumerate(parts)
        ]
    )
    whole = client_statistics(together, target, CONTRACT, min_cell_rows=1)
    assert pooled.num_positive == whole.num_positive
    assert np.isclose(pooled.numbers["age"].total, whole.numbers["age"].total)
    assert pooled.numbers["age"].low == whole.numbers["age"].low
    np.testing.assert_array_equal(pooled.numbers["age"].cells, whole.numbers["age"].cells)
    np.testing.assert_array_equal(pooled.categories["plan"].cells, whole.categories["plan"].cells)


def test_statistics_survive_transport() -> None:
    columns = columns_of(age=[1, 2, 3, np.nan], plan=[0, 1, 0, 1])
    sent = client_statistics(columns, np.array([1, 0, 0, 1], np.int8), CONTRACT, min_cell_rows=1)
    received = statistics_from_arrays(statistics_to_arrays(sent))
    assert received.num_rows == 4
    assert received.numbers["age"].total == sent.numbers["age"].total
    np.testing.assert_array_equal(received.categories["plan"].cells, sent.categories["plan"].cells)


def test_a_feature_without_enough_values_reports_nothing_but_stays_finite() -> None:
    columns = columns_of(age=[7.0, np.nan, np.nan], plan=[0, 0, 1])
    sums = client_statistics(columns, np.zeros(3, np.int8), CONTRACT, min_cell_rows=5).numbers[
        "age"
    ]
    assert (sums.count, sums.total, sums.cells.sum()) == (0, 0, 0)
    assert np.isfinite([sums.low, sums.high]).all()


def test_derived_numbers_have_a_histogram_from_the_contract_alone() -> None:
    contract = Contract.model_validate(
        {
            **CONTRACT.model_dump(),
            "derived": {"twice": {"op": "product", "columns": ["age", "age"]}},
        }
    )
    columns = add_derived(columns_of(age=[2.0] * 10, plan=[0] * 10), contract)
    sums = client_statistics(columns, np.zeros(10, np.int8), contract).numbers["twice"]
    assert (sums.total, sums.cells.sum()) == (40, 10)
