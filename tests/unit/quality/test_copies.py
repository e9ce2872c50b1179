"""Copies: what is one customer, what is chance, and what does not depend on the order of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.quality.copies import Effort, copy_groups, given_groups, group_keys
from tests.unit.quality.small import (
    WIDE,
    independent_columns,
    rows_of,
    same_partition,
    stacked,
)


def test_rows_without_copies_are_their_own_customers():
    columns, target = independent_columns(3000)
    found = copy_groups(columns, target, WIDE)
    assert found.num_customers == 3000
    assert found.groups.tolist() == list(range(3000))
    assert found.patterns == ()


def test_no_rows_no_groups():
    columns, target = independent_columns(0)
    found = copy_groups(columns, target, WIDE)
    assert found.num_customers == 0
    assert len(group_keys(columns, found.groups)) == 0


def test_exact_duplicates_share_a_group_though_labels_differ():
    columns, target = independent_columns(50)
    order = np.r_[np.arange(50), [7, 7, 9]]
    labels = np.r_[target, [1 - target[7], target[7], target[9]]].astype(np.int8)
    found = copy_groups(rows_of(columns, order), labels, WIDE)
    assert same_partition(found.groups, order)
    assert found.num_exact_duplicates == 3
    assert found.num_rows_in_copies == 5
    assert found.patterns == ("3 rows equal an earlier row in every column",)


def test_a_missing_number_is_a_value_of_its_own():
    columns, target = independent_columns(30)
    columns["amount"][:2] = np.nan
    for name in columns:
        columns[name][1] = columns[name][0]
    found = copy_groups(columns, target, WIDE)
    assert found.groups[0] == found.groups[1]


def test_a_constant_shift_is_found_in_any_order_and_told_in_words():
    columns, target = independent_columns(600)
    moved = dict(columns)
    for name in ("n0", "n1", "n2"):
        moved[name] = columns[name] + 1
    moved["amount"] = columns["amount"] + 25.1
    shuffle = np.random.default_rng(3).permutation(1200)
    truth = np.tile(np.arange(600), 2)[shuffle]
    found = copy_groups(
        rows_of(stacked(columns, moved), shuffle), np.tile(target, 2)[shuffle], WIDE
    )
    assert same_partition(found.groups, truth)
    assert found.patterns == (
        "600 pairs: same categories and label, +1 on 3 number columns, +25.1 on amount",
    )


def test_a_shifted_half_names_the_distance_of_its_rows():
    columns, target = independent_columns(500)
    moved = columns | {"n0": columns["n0"] + 2, "n1": columns["n1"] + 2}
    found = copy_groups(stacked(columns, moved), np.tile(target, 2), WIDE)
    assert found.num_customers == 500
    assert found.patterns[0].endswith("; most stand 500 rows apart")


def test_copies_with_altered_columns_are_found():
    columns, target = independent_columns(1000)
    altered = {name: values.copy() for name, values in columns.items()}
    altered["k0"] = (altered["k0"] + 1) % 4
    altered["n1"][::2] = altered["n1"][::2] + 3
    shuffle = np.random.default_rng(4).permutation(2000)
    truth = np.tile(np.arange(1000), 2)[shuffle]
    found = copy_groups(
        rows_of(stacked(columns, altered), shuffle), np.tile(target, 2)[shuffle], WIDE
    )
    assert precision_and_recall(found.groups, truth) > (0.99, 0.97)
    assert "k0 in" in found.patterns[-1]


def test_the_smallest_effort_finds_exact_copies_and_shifts_alone():
    columns, target = independent_columns(300)
    altered = columns | {"k0": (columns["k0"] + 1) % 4}
    found = copy_groups(stacked(columns, altered), np.tile(target, 2), WIDE, effort=Effort(0, 1))
    assert found.num_customers == 600


def test_agreement_that_follows_from_other_columns_is_no_copy():
    """Total = months x price, and at one month it is the price: three columns, two facts."""
    rng = np.random.default_rng(5)
    columns, target = independent_columns(4000)
    months = np.where(rng.random(4000) < 0.2, 1.0, rng.integers(2, 72, 4000))
    price = rng.integers(400, 2400, 4000) / 20
    columns |= {"n0": months, "amount": price, "n1": np.round(months * price, 2)}
    for name in ("n2", "n3", "n4"):
        columns[name] = np.zeros(4000)
    for i in range(1, 6):
        columns[f"k{i}"] = columns["k0"]
    distinct = copy_groups(columns, target, WIDE, effort=Effort(0, 1)).num_customers
    assert copy_groups(columns, target, WIDE).num_customers == distinct


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_groups_and_keys_do_not_depend_on_the_order_of_rows(seed, num_rows):
    rng = np.random.default_rng(seed)
    source, labels = independent_columns(max(2, num_rows // 2), seed)
    picks = rng.integers(0, len(labels), num_rows)
    columns, target = rows_of(source, picks), labels[picks]
    order = rng.permutation(num_rows)
    straight = copy_groups(columns, target, WIDE)
    shuffled = copy_groups(rows_of(columns, order), target[order], WIDE)
    assert same_partition(straight.groups[order], shuffled.groups)
    keys = group_keys(columns, straight.groups)
    assert (keys[order] == group_keys(rows_of(columns, order), shuffled.groups)).all()
    assert same_partition(keys.view(np.int64), straight.groups)


def test_keys_stay_when_other_rows_are_appended():
    columns, target = independent_columns(40)
    few = rows_of(columns, np.arange(30))
    before = group_keys(few, copy_groups(few, target[:30], WIDE).groups)
    after = group_keys(columns, copy_groups(columns, target, WIDE).groups)
    assert (before == after[:30]).all()


def test_keys_see_equal_sums_of_floats_as_equal():
    groups = np.zeros(1, dtype=np.int64)
    assert 0.1 + 0.2 != 0.3
    left = group_keys({"a": np.array([0.1 + 0.2])}, groups)
    assert left == group_keys({"a": np.array([0.3])}, groups)


def test_groups_known_from_a_larger_table_are_numbered_afresh():
    found = given_groups(np.array([70, 5, 70, 9]), np.array([False, False, True, False]))
    assert found.groups.tolist() == [0, 1, 0, 2]
    assert found.num_customers == 3
    assert found.num_exact_duplicates == 1
    assert found.patterns == ("2 rows share a customer with another row of this client",)


@pytest.mark.parametrize("seed", range(3))
def test_small_tables_of_few_categories_are_not_chained(seed):
    rng = np.random.default_rng(seed)
    columns, target = independent_columns(400, seed)
    for name in columns:
        if name[0] in "na":
            columns[name] = rng.integers(0, 3, 400).astype(float)
    distinct = copy_groups(columns, target, WIDE, effort=Effort(0, 1)).num_customers
    assert copy_groups(columns, target, WIDE).num_customers == distinct


def precision_and_recall(found, truth):
    """Over pairs of rows: share of found pairs that are true, and of true pairs that are found."""
    both = num_pairs(np.unique(np.c_[found, truth], axis=0, return_inverse=True)[1])
    return both / num_pairs(found), both / num_pairs(truth)


def num_pairs(groups):
    sizes = np.bincount(groups.reshape(-1))
    return int((sizes * (sizes - 1) // 2).sum())


@pytest.mark.parametrize("size", [1e-7, 1.0, 1e9, 1e18, 1e300])
def test_numbers_of_any_size_stay_apart(size):
    columns, target = independent_columns(200)
    for name in columns:
        columns[name] = np.zeros_like(columns[name])
    columns["amount"] = np.arange(200) * size
    assert copy_groups(columns, target, WIDE, effort=Effort(0, 1)).num_customers == 200


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 3), st.integers(1, 5))
def test_tables_of_any_shape_are_grouped_without_a_fault(seed, num_rows, num_columns, num_values):
    rng = np.random.default_rng(seed)
    kept = dict(list(WIDE.columns.items())[4 : 4 + num_columns])
    contract = WIDE.model_copy(update={"columns": kept})
    columns = {
        name: rng.integers(-1, num_values, num_rows).astype(np.float64 if c.is_number else np.int32)
        for name, c in kept.items()
    }
    target = rng.integers(0, 2, num_rows).astype(np.int8)
    found = copy_groups(columns, target, contract)
    rows = list(zip(*(columns[name].tolist() for name in kept), strict=True))
    assert found.num_customers <= len(set(rows))
    assert found.num_exact_duplicates == num_rows - len(set(rows))
