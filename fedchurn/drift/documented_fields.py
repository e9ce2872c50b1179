"""A verdict in the fields that ``/check-drift`` and ``/drift-status`` have always had."""

from __future__ import annotations

from typing import Any

from fedchurn.drift.verdict import ColumnDrift, DriftVerdict, Verdict


def documented_fields(found: DriftVerdict) -> dict[str, Any]:
    """What callers know, JSON-ready, and ``verdict``: all that is known.

    ``ks_statistic`` is there for every column, since callers read it: of labels it is the share of
    rows that would have to change theirs, the distance which for numbers KS is.
    """
    return {
        "verdict": found.to_dict(),
        "drift_detected": found.verdict is Verdict.DRIFT,
        "drift_scores": {column.column: column.score for column in found.columns},
        "features_with_drift": {column.column: _evidence(column) for column in found.drifted},
        "total_features_checked": len(found.columns),
        "reference_samples": found.num_reference_rows,
        "monitoring_samples": found.num_window_rows,
        "analyzed_samples": found.num_window_rows,
        "drift_threshold": found.rule.level,
    }


def _evidence(column: ColumnDrift) -> dict[str, Any]:
    return {
        "ks_statistic": column.effects.distance,
        "p_value": column.p_value,
        "adjusted_p_value": column.adjusted_p_value,
        "test": column.test,
        "statistic": column.statistic,
        "strongest": column.strongest,
        "missing_effect": column.effects.missing,
    }
