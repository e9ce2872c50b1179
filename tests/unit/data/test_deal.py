"""Rows are dealt to clients whole customers at a time, and each client gets enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.data.deal import deal_rows, deal_table, read_clients, silo_values
from fedchurn.data.frames import canonical_table
from fedchurn.errors import SplitError
from tests.unit.data.small import contract, raw

GROUPS = np.repeat(np.arange(300), np.tile([1, 2, 3], 100))
LABELS = (GROUPS % 4 == 0).astype(np.int8)
KEYS = GROUPS.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
TIERS = np.asarray(["1", "2", "3"], dtype=object)[GROUPS % 3]


def deal(scheme: str, **options: Any) -> dict[str, Any]:
    given_options = {
        "num_clients": 3,
        "seed": 0,
        "labels": LABELS,
        "customer_groups": GROUPS,
        "silo_values": TIERS,
        "silo_column": "Tier",
        "alpha": 0.5,
        "group_keys": KEYS,
    }
    return deal_rows(scheme, **(given_options | options))


@pytest.mark.parametrize("scheme", ["silo", "iid", "dirichlet"])
@given(seed=st.integers(0, 999))
def test_every_row_goes_to_one_client_and_customers_stay_whole(scheme: str, seed: int) -> None:
    clients = deal(scheme, seed=seed)
    rows = np.concatenate(list(clients.values()))
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(GROUPS)))
    seen = [set(GROUPS[places]) for places in clients.values()]
    assert sum(map(len, seen)) == 300


@pytest.mark.parametrize("scheme", ["silo", "iid", "dirichlet"])
def test_row_order_does_not_matter(scheme: str) -> None:
    order = np.random.default_rng(1).permutation(len(GROUPS))
    shuffled = deal(
        scheme,
        labels=LABELS[order],
        customer_groups=777 - GROUPS[order],
        silo_values=TIERS[order],
        group_keys=KEYS[order],
    )
    for name, places in deal(scheme).items():
        assert sorted(order[shuffled[name]]) == places.tolist()


def test_names_of_clients() -> None:
    assert list(deal("iid")) == ["client_1", "client_2", "client_3"]
    assert list(deal("silo")) == ["Tier=1", "Tier=2", "Tier=3"]


def test_iid_shares_rows_and_churn_equally() -> None:
    for places in deal("iid").values():
        assert len(places) == pytest.approx(200, abs=6)
        assert LABELS[places].sum() == pytest.approx(50, abs=3)


def test_silo_is_the_value_of_the_column() -> None:
    for name, places in deal("silo").items():
        assert {f"Tier={tier}" for tier in TIERS[places]} == {name}


def test_silo_of_a_customer_whose_rows_disagree_is_the_majority() -> None:
    groups, labels = np.asarray([0, 0, 0, 1, 1, 2]), np.asarray([1, 1, 1, 0, 1, 1], np.int8)
    values = np.asarray(["a", "b", "b", "a", "a", None], dtype=object)
    clients = deal_rows(
        "silo",
        num_clients=0,
        seed=0,
        labels=labels,
        customer_groups=groups,
        silo_values=values,
        silo_column="City",
        min_positives=0,
        min_customers=0,
    )
    assert {name: rows.tolist() for name, rows in clients.items()} == {
        "City=(missing)": [5],
        "City=a": [3, 4],
        "City=b": [0, 1, 2],
    }


def test_small_alpha_skews_labels_and_large_alpha_does_not() -> None:
    def spread(alpha: float) -> float:
        clients = deal("dirichlet", alpha=alpha, seed=5)
        return float(np.std([LABELS[places].mean() for places in clients.values()]))

    assert spread(0.3) > 0.1
    assert spread(1000.0) < 0.03


def test_dirichlet_draws_again_until_every_client_has_enough() -> None:
    for seed in range(20):
        clients = deal("dirichlet", alpha=0.3, seed=seed, min_rows=40, min_positives=8)
        assert min(len(places) for places in clients.values()) >= 40
        for places in clients.values():
            assert np.bincount(LABELS[places], minlength=2).min() >= 8
            assert min(len(set(GROUPS[places][LABELS[places] == c])) for c in (0, 1)) >= 3


def test_seed() -> None:
    one, same, other = deal("iid"), deal("iid"), deal("iid", seed=1)
    assert one["client_1"].tolist() == same["client_1"].tolist()
    assert one["client_1"].tolist() != other["client_1"].tolist()


def refusal(scheme: str, **options: Any) -> SplitError:
    with pytest.raises(SplitError) as caught:
        deal(scheme, **options)
    assert caught.value.next_step
    return caught.value


def test_mistyped_scheme() -> None:
    assert "did you mean 'dirichlet'?" in refusal("dirichlt").next_step


def test_dirichlet_that_cannot_be() -> None:
    assert "no draw of Dirichlet(0.5)" in refusal("dirichlet", min_rows=300).what


@pytest.mark.parametrize("alpha", [None, 0.0, -1.0, float("nan")])
def test_alpha_must_be_above_zero(alpha: float | None) -> None:
    assert f"alpha is {alpha}" in refusal("dirichlet", alpha=alpha).what


def test_tiny_alpha_is_refused_rather_than_looped_on() -> None:
    assert "no draw" in refusal("dirichlet", alpha=1e-300).what


def test_silo_that_is_too_small_is_named() -> None:
    tiers = TIERS.copy()
    tiers[GROUPS < 6] = "9"
    error = refusal("silo", silo_values=tiers, min_rows=40, min_positives=8)
    assert error.where == "client Tier=9"
    assert "12 rows: 3 of churn from 2 customers and 9 of no churn from 4 customers" in error.what
    assert "needed: 40 rows, with 8 rows and 3 customers of either class" in error.what


def test_silo_without_a_column() -> None:
    assert "needs a silo column" in refusal("silo", silo_values=None).what


@pytest.mark.parametrize("num_clients", [0, 301])
def test_number_of_clients(num_clients: int) -> None:
    assert f"to {num_clients} clients" in refusal("iid", num_clients=num_clients).what


def test_dealt_tables_keep_source_rows() -> None:
    table = raw({"Age": [1, 2, 3]}, first_row=10)
    places = {"client_1": np.asarray([0, 2]), "client_2": np.asarray([1])}
    north, south = deal_table(table, places)
    assert (north.client, north.row_numbers.tolist()) == ("client_1", [10, 12])
    assert (south.client, south.frame["Age"].tolist()) == ("client_2", [2])


def silos(column: str) -> list[Any]:
    table = raw({"Plan": ["CC", "Basic", ""], "Age": [18, 19, None], "Region": [1, 2, "x "]})
    return silo_values(table, canonical_table(table, contract()), column).tolist()


def test_silo_values_of_a_contract_column_are_its_labels() -> None:
    assert silos("Plan") == ["Credit Card", "Basic", None]
    assert silos("Age") == ["18", "19", None]


def test_silo_values_of_another_column_are_its_text() -> None:
    assert silos("Region") == ["1", "2", "x"]


def test_unknown_silo_column() -> None:
    with pytest.raises(SplitError, match="did you mean 'Region'"):
        silos("Regions")


def file(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_one_file_per_client(tmp_path: Path) -> None:
    north = file(tmp_path, "north.csv", "Age,Id\n1,2\n")
    south = file(tmp_path, "south.csv", "Age,Id\n3,4\n")
    tables = read_clients([north, south], contract())
    assert [(t.client, t.frame["Age"].tolist()) for t in tables] == [
        ("north", ["1"]),
        ("south", ["3"]),
    ]


def test_two_files_of_one_name(tmp_path: Path) -> None:
    one = file(tmp_path / "a", "north.csv", "Age,Id\n1,2\n")
    other = file(tmp_path / "b", "north.csv", "Age,Id\n3,4\n")
    with pytest.raises(SplitError, match="two files would be client 'north'"):
        read_clients([one, other], contract())


def test_one_file_under_two_names(tmp_path: Path) -> None:
    one = file(tmp_path, "north.csv", "Age,Id\n1,2\n")
    other = file(tmp_path, "south.csv", "Age,Id\n1,2\n")
    with pytest.raises(SplitError, match="byte for byte"):
        read_clients([one, other], contract())
