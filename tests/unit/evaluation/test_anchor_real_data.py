"""The anchor on the real files: pooled boosting is as strong as tuned boosting is known to be."""

from __future__ import annotations

import numpy as np
import pytest

from fedchurn.contract.load import load_contract
from fedchurn.data.client_table import ClientTable
from fedchurn.data.frames import canonical_table, frame_columns
from fedchurn.data.sources import read_table
from fedchurn.data.split import check_no_leak, fold_tables
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.pooled_baselines_sklearn import pooled_gradient_boosting
from fedchurn.quality.copies import copy_groups, group_keys


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "file", "known_auc"),
    [("ecommerce", "E_Commerce_Dataset.xlsx", 0.896), ("telco", "Telco-Customer-Churn.csv", 0.850)],
)
def test_pooled_boosting_reaches_the_known_auc(real_data_dir, name, file, known_auc):
    """Known: XGBoost and LightGBM, tuned, mean of 5 group-aware folds; deals differ by .003."""
    contract = load_contract(name)
    rows = canonical_table(read_table(str(real_data_dir / file), contract), contract)
    columns = frame_columns(rows.frame, contract)
    target = rows.frame[contract.target.column].to_numpy().astype(np.int8)
    groups = copy_groups(columns, target, contract).groups
    keys = group_keys(columns, groups)
    table = ClientTable(
        "all", columns, target, groups, keys, rows.row_numbers, np.empty(0, np.int8)
    )
    areas = []
    for fold in range(5):
        split = fold_tables(table, num_folds=5, fold=fold, seed=0)
        check_no_leak([split])
        areas.append(metrics(pooled_gradient_boosting([split], seed=0).pooled_test).roc_auc)
    assert known_auc - 0.004 < np.mean(areas) < known_auc + 0.02
