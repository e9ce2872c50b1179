"""Each benchmark runs to its end on a few rows, and what it compares is equal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.encoder import measure as measure_encoder
from benchmarks.quality import ALONE, BOOSTING, Case
from benchmarks.quality import measure as measure_quality
from benchmarks.validation import measure as measure_validation
from fedchurn.contract.load import load_contract
from fedchurn.data.sample import generate_sample, write_sample


def test_both_encoders_give_the_same_inputs() -> None:
    record = measure_encoder(3000, 1000, starts=["labels"], row_seconds=0.01)
    assert record["linear"]["largest_difference"] < 1e-5
    assert record["piecewise"]["largest_difference"] < 1e-5
    assert all(value > 0 for value in record["linear"]["labels"]["ratio"].values())


def test_both_gates_pass_what_great_expectations_can_check() -> None:
    record = measure_validation(num_rows=3000)
    assert record["stock"]["num_failed"] == 0
    assert record["fedchurn"]["num_checks"] > record["stock"]["num_checks"] > 50
    # Without a search for copies the same checks run, near copies among them, which then pass.
    assert record["no copies"]["num_failed"] == record["fedchurn"]["num_failed"] - 1


def test_demands_are_judged_on_means() -> None:
    auc = {
        "additive": [0.80, 0.90],
        "reference": [0.86, 0.80],
        "pooled gradient boosting": [0.852, 0.852],
        "each client alone, all test rows": [0.83, 0.83],
    }
    silo = Case("telco", "silo", "silo Contract", 1.0, auc)
    assert silo.demands("additive") == {
        "within": True,
        "above_alone": False,
        "above_reference": True,
    }
    iid = Case("telco", "iid", "iid, 3", 1.0, auc)
    assert iid.demands("additive")["above_alone"] is None


def test_a_refusal_is_told_not_hidden(tmp_path: Path) -> None:
    case = measure_quality("telco", tmp_path / "missing.csv", "iid", ["additive"], 2)
    assert "missing.csv" in case.refusal
    assert case.mean("additive") is None


def test_quality_of_a_small_sample(tmp_path: Path) -> None:
    contract = load_contract("ecommerce")
    sample = generate_sample(contract, rows=800, seed=1)
    write_sample(sample, tmp_path / "rows.csv", contract, seed=1)
    case = measure_quality(
        "ecommerce", tmp_path / "rows.csv", "iid", ["additive"], 2, thorough=False
    )
    assert not case.refusal
    assert {"additive", BOOSTING, ALONE} <= case.auc.keys()
    assert all(len(folds) == 2 for folds in case.auc.values())


def test_all_benchmarks_can_be_asked_for_by_name() -> None:
    command = [sys.executable, "-m", "benchmarks", "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "quality" in shown
