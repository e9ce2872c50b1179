"""The drifts that the shipped contracts describe are found, and nothing beside them.

Rows are made up; the reference is what training would store, small cells merged as clients do.
Copies of customers are left out: the tests are about rows that do not repeat.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from fedchurn.contract.columns import Columns
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.frames import canonical_table, frame_columns
from fedchurn.data.sample import sample_table
from fedchurn.drift.check import check_rows
from fedchurn.drift.reference import DriftReference, read_reference
from fedchurn.drift.verdict import Verdict
from fedchurn.encoding.statistics import client_statistics
from fedchurn.evaluation.sums import score_sums
from fedchurn.loop.drift_reference import drift_reference

CONTRACTS = ("ecommerce", "telco", "telecom")
NUM_ROWS = 1000
# Moves the distribution by less than a window of this size can tell from noise.
TOO_SMALL = {("ecommerce", "tenure_plus_10")}
# A column follows another one by a rule of the contract.
FOLLOWING = {"telco": {"TotalCharges"}}
SCENARIOS = [(n, s) for n in CONTRACTS for s in sorted(load_contract(n).sample.scenarios)]


@cache
def _contract(name: str) -> Contract:
    contract = load_contract(name)
    no_copies: dict[str, Any] = {"exact_duplicate_fraction": 0.0, "near_copy_fraction": 0.0}
    return contract.model_copy(update={"sample": contract.sample.model_copy(update=no_copies)})


def _rows(contract: Contract, num_rows: int, seed: int, scenario: str | None = None) -> Columns:
    table = sample_table(contract, rows=num_rows, seed=seed, scenario=scenario)
    return frame_columns(canonical_table(table, contract).frame, contract)


@cache
def _reference(name: str) -> DriftReference:
    contract = _contract(name)
    target = np.zeros(3000, dtype=np.int8)
    statistics = client_statistics(_rows(contract, 3000, seed=0), target, contract)
    scores = score_sums(np.array([0, 1]), np.array([0.2, 0.8]))
    stored = drift_reference({"north": statistics}, {"north": scores}, contract)
    return read_reference(stored, contract)


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS)
def test_a_scenario_is_found_in_a_window_of_1000_rows(name: str, scenario: str) -> None:
    contract = _contract(name)
    found = check_rows(_reference(name), _rows(contract, NUM_ROWS, 7, scenario))
    changes = contract.sample.scenarios[scenario]
    moved = {*changes.ranges, *changes.scale, *changes.weights, *changes.null_fraction}
    drifted = {column.column for column in found.drifted}
    # Where many columns drift, Benjamini-Hochberg may call out one more now and then.
    assert len(drifted - moved - FOLLOWING.get(name, set())) <= (len(moved) > 3)
    assert moved <= drifted or (name, scenario) in TOO_SMALL


@pytest.mark.parametrize("name", CONTRACTS)
def test_windows_without_drift_are_quiet(name: str) -> None:
    contract = _contract(name)
    windows = [_rows(contract, 200, seed) for seed in range(100, 120)]
    verdicts = [check_rows(_reference(name), window).verdict for window in windows]
    assert verdicts.count(Verdict.DRIFT) <= 1  # of 20; one in a hundred is promised
