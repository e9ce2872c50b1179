"""Copies in the real files, against the structure that the E-commerce file can be seen to have.

Row i + 2815 is row i, shifted. Inside each half, the last 1470 rows are the source customers, and
the first 1345 rows are, in the same order, altered copies of 1345 of them: rows 26 to 1344 stand
1470 rows before their source, rows 0 to 25 closer, because there the source has customers without a
copy.
"""

from __future__ import annotations

import numpy as np
import pytest

from fedchurn.contract.load import load_contract
from fedchurn.data.frames import canonical_table, frame_columns
from fedchurn.data.sources import read_table
from fedchurn.quality.copies import copy_groups
from tests.unit.quality.small import same_partition

pytestmark = pytest.mark.real_data

HALF = 2815
SOURCES_OF_FIRST_26 = (
    *(1345, 1347, 1359, 1366, 1369, 1371, 1378, 1379, 1381, 1387, 1390, 1395, 1396),
    *(1414, 1434, 1445, 1447, 1452, 1456, 1467, 1469, 1471, 1472, 1477, 1481, 1485),
)


@pytest.fixture(scope="module")
def ecommerce(real_data_dir):
    return rows("ecommerce", real_data_dir / "E_Commerce_Dataset.xlsx")


def rows(name, path):
    contract = load_contract(name)
    table = canonical_table(read_table(path, contract), contract)
    target = table.frame[contract.target.column].to_numpy(np.float64).astype(np.int8)
    return frame_columns(table.frame, contract), target, contract


def customers_of_the_file():
    half = np.arange(HALF)
    half[:26] = SOURCES_OF_FIRST_26
    half[26:1345] = np.arange(26, 1345) + 1470
    return np.concatenate([half, half])


def test_every_copy_in_the_ecommerce_file_is_found_and_nothing_else(ecommerce):
    found = copy_groups(*ecommerce)
    assert same_partition(found.groups, customers_of_the_file())
    assert found.num_customers == 1470
    assert found.num_exact_duplicates == 557
    assert found.patterns[1] == (
        "2815 pairs: same categories and label, +1 on 9 number columns, +25 on CashbackAmount; "
        "most stand 2815 rows apart"
    )
    assert "CouponUsed in" in found.patterns[2]
    assert "most stand 1470 rows apart" in found.patterns[2]


def test_without_the_order_of_rows_nearly_every_copy_is_still_found(ecommerce):
    columns, target, contract = ecommerce
    order = np.random.default_rng(0).permutation(len(target))
    shuffled = {name: values[order] for name, values in columns.items()}
    found = copy_groups(shuffled, target[order], contract)
    truth = customers_of_the_file()[order]
    assert len({(f, t) for f, t in zip(found.groups, truth, strict=True)}) == found.num_customers
    assert 1470 <= found.num_customers <= 1475


@pytest.mark.parametrize("silo", ["CityTier", "PreferedOrderCat"])
def test_each_silo_by_itself_finds_the_same_customers(ecommerce, silo):
    columns, target, contract = ecommerce
    truth = customers_of_the_file()
    for code in np.unique(columns[silo]):
        part = np.flatnonzero(columns[silo] == code)
        own = {name: values[part] for name, values in columns.items()}
        found = copy_groups(own, target[part], contract)
        assert found.num_customers == pytest.approx(len(set(truth[part].tolist())), rel=0.01)


@pytest.mark.parametrize(
    ("name", "file", "num_customers"),
    [
        ("telco", "Telco-Customer-Churn.csv", 7043 - 40),
        ("telecom", "churnguard_churn.csv", 2000),
    ],
)
def test_other_files_hold_exact_duplicates_at_most(real_data_dir, name, file, num_customers):
    found = copy_groups(*rows(name, real_data_dir / file))
    assert found.num_customers == num_customers


@pytest.mark.parametrize("silo", ["Contract", "PaymentMethod", "InternetService", "gender"])
def test_parts_of_telco_are_not_chained_either(real_data_dir, silo):
    columns, target, contract = rows("telco", real_data_dir / "Telco-Customer-Churn.csv")
    for code in np.unique(columns[silo]):
        part = np.flatnonzero(columns[silo] == code)
        found = copy_groups({k: v[part] for k, v in columns.items()}, target[part], contract)
        assert found.num_customers == len(part) - found.num_exact_duplicates
