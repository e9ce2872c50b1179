"""Puts the promise about false alarms into a release's drift reference."""

from __future__ import annotations

from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.drift.promise.calibrate import Promise, calibrate
from fedchurn.drift.reference import read_reference
from fedchurn.settings import DriftSettings


def with_calibration(
    stored: dict[str, Any], contract: Contract, drift: DriftSettings, seed: int
) -> dict[str, Any]:
    """``reference.json`` with thresholds that keep the settings' promise; takes seconds.

    Args:
        stored: the reference without a calibration.
        contract: what its columns mean.
        drift: the promise.
        seed: of the resampling.
    """
    promise = Promise(
        false_alarms_per_year=drift.false_alarms_per_year,
        checks_per_day=drift.checks_per_day,
        window_rows=drift.window_rows,
        num_flagged=drift.num_flagged,
        num_windows=drift.num_windows,
        min_rows=drift.min_rows,
        seed=seed,
    )
    reference = read_reference(stored, contract)
    if not reference.columns:
        return stored
    return {**stored, "calibration": calibrate(reference, promise).to_dict()}
