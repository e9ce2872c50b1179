"""Splits keep customers whole, hold their fractions, and do not hang on the order of rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from fedchurn.data.client_table import TEST, TRAIN, VALIDATION, ClientTable
from fedchurn.data.split import check_no_leak, fold_tables, split_table
from fedchurn.errors import LeakError, SplitError
from tests.unit.data.small import client_table


@st.composite
def tables(draw: DrawFn) -> ClientTable:
    """Customers of 1 to 6 rows, at least five of either class, rows in any order."""
    num_customers = draw(st.integers(10, 60))
    sizes = draw(st.lists(st.integers(1, 6), min_size=num_customers, max_size=num_customers))
    churn = np.arange(num_customers) < draw(st.integers(5, num_customers - 5))
    groups = np.repeat(np.arange(num_customers), sizes)
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(groups))
    return client_table(groups[order], churn[groups][order])


def large(num_customers: int, *, copies: int = 1) -> ClientTable:
    groups = np.repeat(np.arange(num_customers), copies)
    return client_table(groups, groups % 5 == 0)


@given(tables(), st.integers(0, 2**31))
def test_no_customer_straddles(table: ClientTable, seed: int) -> None:
    check_no_leak([split_table(table, seed=seed)])
    check_no_leak([fold_tables(table, num_folds=5, fold=2, seed=seed)])


@given(tables(), st.integers(0, 99))
def test_fractions_hold_per_class_within_one_customer(table: ClientTable, seed: int) -> None:
    split = split_table(table, seed=seed, validation_fraction=0.15, test_fraction=0.2).split
    for label in (0, 1):
        rows = table.target == label
        for part, fraction in ((TEST, 0.2), (VALIDATION, 0.15), (TRAIN, 0.65)):
            assert abs((split[rows] == part).sum() - fraction * rows.sum()) <= 6


@given(tables(), st.integers(0, 99))
def test_every_part_has_both_classes(table: ClientTable, seed: int) -> None:
    split = split_table(table, seed=seed).split
    for part in (TRAIN, VALIDATION, TEST):
        assert set(table.target[split == part]) == {0, 1}


@given(tables(), st.integers(0, 99))
def test_row_order_does_not_matter(table: ClientTable, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(table.num_rows)
    shuffled = table.take(order)
    renumbered = replace(shuffled, customer_groups=999 - shuffled.customer_groups)
    expected = split_table(table, seed=7).split[order]
    np.testing.assert_array_equal(split_table(renumbered, seed=7).split, expected)
    expected = fold_tables(table, num_folds=3, fold=0, seed=7).split[order]
    actual = fold_tables(renumbered, num_folds=3, fold=0, seed=7).split
    np.testing.assert_array_equal(actual, expected)


@given(tables(), st.integers(0, 99))
def test_every_row_is_tested_in_exactly_one_fold(table: ClientTable, seed: int) -> None:
    folds = [fold_tables(table, num_folds=5, fold=i, seed=seed).split for i in range(5)]
    tested = np.sum([split == TEST for split in folds], axis=0)
    np.testing.assert_array_equal(tested, 1)


def test_shares_of_a_large_table() -> None:
    split = split_table(large(10_000), seed=0).split
    assert [(split == p).mean() for p in (TRAIN, VALIDATION, TEST)] == [0.65, 0.15, 0.2]


def test_shares_of_folds() -> None:
    split = fold_tables(large(10_000), num_folds=5, fold=4, seed=0, validation_fraction=0.25).split
    shares = [(split == p).mean() for p in (TRAIN, VALIDATION, TEST)]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=1e-3)


def test_folds_of_a_client_with_two_churn_customers_keep_churn_in_train() -> None:
    table = client_table(range(40), np.arange(40) < 2)
    for fold in range(5):
        split = fold_tables(table, num_folds=5, fold=fold, seed=0).split
        assert set(table.target[split == TRAIN]) == {0, 1}


def test_majority_label_places_a_customer() -> None:
    groups = np.repeat(np.arange(300), 3)
    target = np.where(groups < 100, np.tile([1, 1, 0], 300), np.tile([0, 0, 1], 300))
    split = split_table(client_table(groups, target), seed=0).split
    tested = np.unique(groups[split == TEST])
    assert (np.sum(tested < 100), np.sum(tested >= 100)) == (20, 40)


def test_equal_seed_equal_split_and_another_seed_another() -> None:
    table = large(500, copies=4)
    np.testing.assert_array_equal(
        split_table(table, seed=3).split, split_table(table, seed=3).split
    )
    moved = split_table(table, seed=3).split != split_table(table, seed=4).split
    assert 0.3 < moved.mean() < 0.7


def test_appended_rows_hardly_move_the_others() -> None:
    before = split_table(large(2_000), seed=0).split
    after = split_table(large(2_200), seed=0).split[:2_000]
    assert (before != after).mean() < 0.03


def test_fractions_of_nothing() -> None:
    split = split_table(large(100), seed=0, validation_fraction=0.0, test_fraction=0.25).split
    assert [(split == p).sum() for p in (TRAIN, VALIDATION, TEST)] == [75, 0, 25]


def test_split_changes_nothing_else() -> None:
    table = large(100)
    split = split_table(table, seed=0)
    assert split.columns is table.columns
    assert split.num_rows == 100


def refusal(table: ClientTable, **options: float) -> SplitError:
    with pytest.raises(SplitError) as caught:
        split_table(table, seed=0, **options)  # type: ignore[arg-type]
    assert caught.value.next_step
    return caught.value


def test_empty_client() -> None:
    error = refusal(client_table([], []))
    assert "no rows" in error.what
    assert error.where == "client north"


@pytest.mark.parametrize(("label", "name"), [(1, "churn (1)"), (0, "no churn (0)")])
def test_one_class_client(label: int, name: str) -> None:
    error = refusal(client_table(range(50), [label] * 50))
    assert f"all 50 rows are of one class: {name}" in error.what


def test_too_few_rows() -> None:
    error = refusal(large(39), min_rows=40, min_positives=8)
    assert "39 rows are too few; 40 are needed" in error.what
    assert "dataset.min_rows" in error.next_step


def test_too_few_positives() -> None:
    assert "8 churn rows are too few" in refusal(large(40), min_positives=9).what


def test_copies_count_as_one_customer() -> None:
    table = client_table([*range(50), *[99] * 20], [0] * 50 + [1] * 20)
    assert (
        "customers of class churn (1): 1, too few for a split that needs 3" in refusal(table).what
    )


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (-0.1, 0.2)])
def test_impossible_fractions(fractions: tuple[float, float]) -> None:
    validation, test = fractions
    error = refusal(large(100), validation_fraction=validation, test_fraction=test)
    assert "leave no rows to train on" in error.what


@pytest.mark.parametrize(("fold", "num_folds"), [(5, 5), (-1, 5), (0, 1)])
def test_fold_that_does_not_exist(fold: int, num_folds: int) -> None:
    with pytest.raises(SplitError, match=f"fold {fold} of {num_folds}"):
        fold_tables(large(100), num_folds=num_folds, fold=fold, seed=0)


def test_leak_inside_a_client_names_rows_of_both_parts() -> None:
    table = client_table([0, 1, 1, 2], [0, 1, 1, 0], split=[0, 0, 2, 1])
    with pytest.raises(LeakError) as caught:
        check_no_leak([table])
    assert "train of client north (group 1, rows 2)" in caught.value.what
    assert "test of client north (group 1, rows 3)" in caught.value.what
    assert "customers that leak: 1" in caught.value.what
    assert caught.value.where == "client north"


def test_leak_by_content_under_two_group_numbers() -> None:
    table = client_table([0, 1], [0, 0], keys=[5, 5], split=[0, 2])
    with pytest.raises(LeakError):
        check_no_leak([table])


def test_leak_across_clients() -> None:
    north = client_table([0, 1], [0, 1], keys=[5, 6], split=[0, 2])
    south = client_table([0, 1], [0, 1], client="south", keys=[7, 6], split=[2, 0])
    with pytest.raises(LeakError) as caught:
        check_no_leak([north, south])
    assert caught.value.where == "client north and client south"
    assert "test of client north (group 1, rows 2)" in caught.value.what
    assert "train of client south (group 1, rows 2)" in caught.value.what


def test_one_customer_of_two_clients_in_one_part_is_no_leak() -> None:
    north = client_table([0], [0], keys=[5], split=[2])
    check_no_leak([north, client_table([0], [0], client="south", keys=[5], split=[2])])


def test_group_numbers_of_two_clients_have_nothing_in_common() -> None:
    north = client_table([0], [0], keys=[5], split=[2])
    check_no_leak([north, client_table([0], [0], client="south", keys=[6], split=[0])])


def test_unsplit_rows_cannot_be_checked() -> None:
    with pytest.raises(SplitError, match="not split"):
        check_no_leak([large(10)])
