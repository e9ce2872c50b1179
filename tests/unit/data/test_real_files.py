"""The three real files, read and made canonical: facts counted by hand elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedchurn.contract.load import load_contract
from fedchurn.data.frames import CanonicalTable, canonical_table, frame_columns
from fedchurn.data.sources import RawTable, read_table

pytestmark = pytest.mark.real_data


def read(folder: Path, name: str) -> tuple[RawTable, CanonicalTable]:
    contract = load_contract(name)
    raw = read_table(folder / str(contract.source.file), contract)
    assert raw.sha256 == contract.source.sha256
    assert not raw.is_sample
    table = canonical_table(raw, contract)
    assert len(table.frame) == contract.source.rows
    assert (table.missing_columns, table.extra_columns) == ((), ())
    assert (table.unreadable, table.unknown_targets) == ((), {})
    assert table.frame[contract.target.column].mean() == pytest.approx(
        contract.target.rate, abs=1e-4
    )
    return raw, table


def test_ecommerce(real_data_dir: Path) -> None:
    raw, table = read(real_data_dir, "ecommerce")
    assert len(table.frame) == 5630
    assert table.aliased == {
        "PreferredLoginDevice": 1231,
        "PreferredPaymentMode": 365 + 273,
        "PreferedOrderCat": 809,
    }
    respelled = np.zeros(5630, dtype=bool)
    for name in table.aliased:
        respelled |= (raw.frame[name] != table.frame[name]).to_numpy()
    assert respelled.sum() == 1707
    assert table.frame["Tenure"].isna().sum() == 264
    assert table.frame["Tenure"].max() == 61
    assert table.frame["CashbackAmount"].max() == 324.99
    without_id = table.frame.drop(columns="CustomerID")
    assert without_id.duplicated().sum() == 557


def test_telco(real_data_dir: Path) -> None:
    _, table = read(real_data_dir, "telco")
    assert len(table.frame) == 7043
    assert table.frame["TotalCharges"].isna().sum() == 11
    assert (table.frame["tenure"][table.frame["TotalCharges"].isna()] == 0).all()
    assert table.frame["MonthlyCharges"].min() == 18.25
    assert table.aliased == {}


def test_telecom(real_data_dir: Path) -> None:
    _, table = read(real_data_dir, "telecom")
    assert len(table.frame) == 2000
    columns = frame_columns(table.frame, load_contract("telecom"))
    assert len(columns) == 16
    assert int(columns["senior_citizen"].sum()) == int((table.frame["age"] >= 65).sum())
