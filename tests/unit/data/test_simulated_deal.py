"""Many simulated clients: all rows once, customers whole, parts kept, nobody without training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.data.client_bundle import SUFFIX, load_client, save_client_bundle
from fedchurn.data.client_table import TRAIN, ClientTable, save_client_table
from fedchurn.data.simulated_deal import deal_split_table
from fedchurn.data.split import check_no_leak, split_table
from fedchurn.errors import SplitError


def whole(num_customers: int = 200, copies: int = 1, seed: int = 1) -> ClientTable:
    """Split rows; each customer has so many equal rows, one customer in four churns."""
    customers = np.repeat(np.arange(num_customers), copies)
    table = ClientTable(
        client="shop",
        columns={"age": customers.astype(np.float64), "plan": (customers % 3).astype(np.int32)},
        target=(customers % 4 == 0).astype(np.int8),
        customer_groups=customers.astype(np.int64),
        group_keys=(customers + 1000).astype(np.uint64),
        row_numbers=np.arange(1, len(customers) + 1),
        split=np.empty(0, dtype=np.int8),
    )
    return split_table(table, seed=seed)


@settings(max_examples=25, deadline=None)
@given(
    scheme=st.sampled_from(["iid", "dirichlet"]),
    num_clients=st.integers(20, 100),
    copies=st.integers(1, 3),
    seed=st.integers(0, 1000),
    alpha=st.sampled_from([0.01, 0.5, 100.0]),
)
def test_every_row_is_dealt_once_with_its_part(
    scheme: str, num_clients: int, copies: int, seed: int, alpha: float
) -> None:
    table = whole(copies=copies)
    dealt = deal_split_table(table, scheme, num_clients=num_clients, seed=seed, alpha=alpha)
    assert len(dealt) == num_clients
    rows = np.concatenate([one.row_numbers for one in dealt])
    assert sorted(rows.tolist()) == table.row_numbers.tolist()
    for one in dealt:
        assert (one.split == TRAIN).any(), f"{one.client} has nothing to train on"
        np.testing.assert_array_equal(one.split, table.split[one.row_numbers - 1])
        np.testing.assert_array_equal(one.columns["age"], table.columns["age"][one.row_numbers - 1])
    owners = {c: one.client for one in dealt for c in one.customer_groups.tolist()}
    assert all(owners[c] == one.client for one in dealt for c in one.customer_groups.tolist())
    check_no_leak(dealt)


def test_clients_are_numbered_from_one() -> None:
    dealt = deal_split_table(whole(), "iid", num_clients=30, seed=1)
    assert [one.client for one in dealt] == [f"client_{number}" for number in range(1, 31)]


def test_iid_shares_are_equal_and_dirichlet_shares_are_skewed() -> None:
    sizes = {
        scheme: [
            one.num_rows for one in deal_split_table(whole(400), scheme, num_clients=40, seed=3)
        ]
        for scheme in ("iid", "dirichlet")
    }
    assert set(sizes["iid"]) <= {9, 10, 11, 12}
    assert max(sizes["dirichlet"]) > 30


def test_the_deal_does_not_depend_on_the_order_of_rows() -> None:
    table = whole()
    order = np.random.default_rng(0).permutation(table.num_rows)
    once, again = (
        deal_split_table(one, "dirichlet", num_clients=25, seed=5)
        for one in (table, table.take(order))
    )
    for mine, theirs in zip(once, again, strict=True):
        assert set(mine.row_numbers.tolist()) == set(theirs.row_numbers.tolist())


def test_more_clients_than_customers_to_train_on_are_refused() -> None:
    with pytest.raises(SplitError, match="cannot be dealt to 500 clients"):
        deal_split_table(whole(), "iid", num_clients=500, seed=1)


def test_a_bundle_gives_back_every_client(tmp_path: Path) -> None:
    dealt = deal_split_table(whole(), "dirichlet", num_clients=30, seed=2)
    paths = save_client_bundle(dealt, tmp_path / f"clients{SUFFIX}")
    moved = tmp_path / "stage"
    moved.mkdir()
    (tmp_path / f"clients{SUFFIX}").rename(moved / f"clients{SUFFIX}")
    for one in dealt:
        found = load_client(moved / paths[one.client].relative_to(tmp_path))
        assert found.client == one.client
        assert found.digest() == one.digest()
        np.testing.assert_array_equal(found.split, one.split)
        np.testing.assert_array_equal(found.row_numbers, one.row_numbers)
        assert found.columns["plan"].flags.writeable, "a client's rows are its own copy"


def test_a_bundle_holds_no_pickles(tmp_path: Path) -> None:
    save_client_bundle([whole()], tmp_path / f"clients{SUFFIX}")
    for path in (tmp_path / f"clients{SUFFIX}").glob("*.npy"):
        np.load(path, allow_pickle=False)
    index = json.loads((tmp_path / f"clients{SUFFIX}" / "index.json").read_text(encoding="utf-8"))
    assert index["ends"] == [200]


def test_a_bundle_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / f"clients{SUFFIX}"
    first = save_client_bundle([whole(16)], folder)["shop"]
    assert load_client(first).num_rows == 16
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert load_client(save_client_bundle([whole(20)], folder)["shop"]).num_rows == 20


def test_a_file_of_its_own_is_read_as_ever(tmp_path: Path) -> None:
    save_client_table(whole(), tmp_path / "shop.npz")
    assert load_client(tmp_path / "shop.npz").digest() == whole().digest()
