"""Rows that came back, joined with the source: each client its own, the newest of each customer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.frames import canonical_table
from fedchurn.data.sources import read_table
from fedchurn.loop.retraining.base_rows import BaseRows, base_rows, row_hashes
from fedchurn.loop.retraining.returned_rows import ReturnedRow, read_stored, stored
from fedchurn.loop.retraining.stored_rows import forget_returned, keep_returned, returned_file
from fedchurn.loop.retraining.training_rows import Joined, join_rows
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from tests.conftest import PROJECT
from tests.unit.data.small import contract as small

SHOP = small(silo_column="Tier")
HEADER = "Id,Age,Plan,Tier,Note,Churn,Remark\n"
NORTH = HEADER + "1,30,Basic,1,a,No,x\n2,40,CC,2,b,Yes,y\n"
SOUTH = HEADER + "3,50,Basic,3,c,No,z\n"
VALUES = {"Age": 31.0, "Plan": "Credit Card", "Tier": "1", "Note": None}


def row(number: int, customer: str | None, **changes: Any) -> ReturnedRow:
    facts: dict[str, Any] = {
        "prediction_id": f"p{number}",
        "customer_id": customer,
        "client": "Tier=1",
        "prediction_seconds": float(number),
        "label_seconds": 100.0,
        "release": "shop-1",
        "label": 1,
        "values": VALUES,
    }
    return ReturnedRow(**(facts | changes))


def write(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return [str(folder / f"{name}.csv") for name in files]


def settings_of(**data: Any) -> Settings:
    return load_settings(values={"data": data})


def join(settings: Settings, *rows: ReturnedRow, contract: Contract = SHOP) -> Joined:
    return join_rows(base_rows(settings, contract), rows, settings, contract)


def read(joined: Joined, name: str, folder: Path, contract: Contract = SHOP) -> pd.DataFrame:
    """The canonical rows that a training would read."""
    path = folder / f"joined-{name}"
    path.write_bytes(joined.files[name])
    return canonical_table(read_table(path, contract), contract).frame


def test_a_new_customer_is_added_and_a_known_one_takes_the_place_of_its_old_row(
    tmp_path: Path,
) -> None:
    (path,) = write(tmp_path, north=NORTH)
    joined = join(settings_of(location=path), row(1, "1"), row(2, "9", label=0))
    frame = read(joined, "small.csv", tmp_path)
    assert frame["Id"].tolist() == ["2", "1", "9"]
    assert frame["Age"].tolist() == [40, 31, 31]
    assert frame["Plan"].tolist() == ["Credit Card"] * 3
    assert frame["Churn"].tolist() == [1, 1, 0]
    assert frame["Note"].tolist() == ["b", None, None]
    assert joined.num_replaced == 1
    assert dict(joined.by_client) == {"Tier=1": 2}
    assert "2 rows that came back are added (Tier=1 2); 1 of them replace" in joined.story()
    table = pd.read_csv(tmp_path / "joined-small.csv", dtype=str)
    assert table["Remark"].fillna("").tolist() == ["y", "x", ""]


def test_of_one_customer_the_newest_row_counts(tmp_path: Path) -> None:
    (path,) = write(tmp_path, north=NORTH)
    old, new = row(1, "9"), row(2, "9", values={**VALUES, "Age": 77.0}, label=0)
    joined = join(settings_of(location=path), old, new)
    frame = read(joined, "small.csv", tmp_path)
    assert frame["Age"].tolist() == [30, 40, 77]
    assert joined.added_positive.tolist() == [False]


def test_each_file_gets_rows_of_its_own_customers_only(tmp_path: Path) -> None:
    paths = write(tmp_path, north=NORTH, south=SOUTH)
    rows = (
        row(1, "3"),  # is south's
        row(2, "8", client="Shop=north"),
        row(3, "7", client="Tier=1"),  # is nobody's
    )
    joined = join(settings_of(clients=paths), *rows)
    assert read(joined, "north.csv", tmp_path)["Id"].tolist() == ["1", "2", "8"]
    assert read(joined, "south.csv", tmp_path)["Id"].tolist() == ["3"]
    assert dict(joined.by_client) == {"north": 1, "south": 1}
    assert dict(joined.unusable) == {"belongs to no client's file": 1}
    one = join(settings_of(clients=paths), rows[0])
    assert set(one.files) == {"south.csv"}


def test_a_silo_that_the_service_does_not_see_is_that_of_the_old_row(tmp_path: Path) -> None:
    contract = small(silo_column="Remark")
    (path,) = write(tmp_path, north=NORTH)
    rows = (row(1, "1", client=None), row(2, "9", client=None))
    joined = join(settings_of(location=path), *rows, contract=contract)
    assert read(joined, "small.csv", tmp_path, contract)["Id"].tolist() == ["2", "1"]
    assert dict(joined.unusable) == {"belongs to no client's file": 1}


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"values": {k: v for k, v in VALUES.items() if k != "Age"}}, "logged without Age"),
    ({"values": {**VALUES, "Plan": "Gold"}}, "Plan: categories"),
    ({"values": {**VALUES, "Plan": None}}, "Plan: not_null"),
    ({"customer_id": None}, "Id: id_present"),
    ({"customer_id": "sample-000012"}, "a customer of the generated sample"),
]


@pytest.mark.parametrize(("changes", "reason"), UNUSABLE)
def test_a_row_that_no_training_would_take_is_left_out(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    (path,) = write(tmp_path, north=NORTH)
    joined = join(settings_of(location=path), row(1, "9"), row(2, "8"))
    assert not joined.unusable
    bad = replace(row(3, "7"), **changes)
    joined = join(settings_of(location=path), bad, row(2, "8"))
    assert dict(joined.unusable) == {reason: 1}
    assert read(joined, "small.csv", tmp_path)["Id"].tolist() == ["1", "2", "8"]


def test_without_rows_the_source_is_read_as_it_is(tmp_path: Path) -> None:
    (path,) = write(tmp_path, north=NORTH)
    joined = join(settings_of(location=path))
    assert joined.files == {}
    assert joined.story() == "No rows that came back are added."


def test_what_is_made_of_a_sample_stays_a_sample(tmp_path: Path) -> None:
    contract = load_contract("ecommerce")
    settings = load_settings()
    base = base_rows(settings, contract)
    assert base.is_sample
    first = base.canonical[0].frame.iloc[0]
    values = {n: None if first[n] != first[n] else first[n] for n in contract.columns}
    ids = [f"5{number:04d}" for number in range(base.num_rows)]  # most are no sample ids any more
    rows = tuple(row(i, customer, values=values) for i, customer in enumerate(ids))
    joined = join_rows(base, rows, settings, contract)
    for name, content in joined.files.items():
        (tmp_path / name).write_bytes(content)
    assert read_table(tmp_path / "ecommerce.csv", contract).is_sample
    mark = json.loads(joined.files["ecommerce.sample.json"])
    assert mark["rows"] == 2 * base.num_rows


def test_digests_say_what_is_trained_on(tmp_path: Path) -> None:
    (path,) = write(tmp_path, north=NORTH)
    settings = settings_of(location=path)
    base = base_rows(settings, SHOP)
    one, same, other = (join(settings, row(1, "9", label=n)) for n in (1, 1, 0))
    assert one.digest(base) == same.digest(base) != other.digest(base)
    write(tmp_path, north=SOUTH)
    changed = base_rows(settings, SHOP)
    assert base.digest() != changed.digest()


def test_rows_that_hold_the_same_are_the_same(tmp_path: Path) -> None:
    """What came back unchanged is nothing new."""
    (path,) = write(tmp_path, north=NORTH)
    base = base_rows(settings_of(location=path), SHOP)
    values = {"Age": 30.0, "Plan": "Basic", "Tier": "1", "Note": "a"}
    settings = settings_of(location=path)
    known = row_hashes(base.canonical[0], SHOP)
    for label, is_new in ((0, False), (1, True)):
        joined = join(settings, row(1, "9", values=values, label=label))
        assert (~np.isin(joined.added_hashes, known)).tolist() == [is_new]


def test_a_workbook_becomes_a_table_of_the_same_rows(real_data_dir: Path, tmp_path: Path) -> None:
    contract = load_contract("ecommerce")
    found = sorted(real_data_dir.rglob(contract.source.file or ""))
    if not found:
        pytest.skip(f"REAL DATA MISSING: no {contract.source.file} in {real_data_dir}")
    settings = settings_of(location=str(found[0]))
    base = base_rows(settings, contract)
    first = base.canonical[0].frame.iloc[0]
    values = {n: None if first[n] != first[n] else first[n] for n in contract.columns}
    joined = join_rows(base, (row(1, "999999", values=values),), settings, contract)
    frame = read(joined, "ecommerce.csv", tmp_path, contract)
    pd.testing.assert_frame_equal(frame.iloc[:-1], base.canonical[0].frame)


def test_what_came_back_is_kept_as_it_is(tmp_path: Path) -> None:
    rows = (row(1, "1"), row(2, None, client=None, values={"Age": 0.1, "Note": "Ω"}))
    name = keep_returned(tmp_path, rows)
    assert keep_returned(tmp_path, rows) == name
    file = returned_file(tmp_path, name)
    assert file is not None
    assert tuple(read_stored(file)) == rows
    assert stored(rows) == file.read_bytes()
    assert keep_returned(tmp_path, ()) == ""
    later = keep_returned(tmp_path, rows[:1])
    forget_returned(tmp_path, {later})
    assert returned_file(tmp_path, name) is None
    assert returned_file(tmp_path, later) is not None


def test_the_shipped_sample_is_the_base(tmp_path: Path) -> None:
    base = base_rows(load_settings(), load_contract("ecommerce"))
    assert isinstance(base, BaseRows)
    sample = PROJECT / "configs" / "samples" / "ecommerce.csv"
    assert base.num_rows == len(sample.read_text().splitlines()) - 1
