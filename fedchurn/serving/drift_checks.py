"""Drift of what the service was asked: newest logged predictions against the release's reference.

The last verdict is one small file beside the log, so that every worker tells the same one.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fedchurn.contract.schema import Contract
from fedchurn.drift.check import check_rows
from fedchurn.drift.documented_fields import documented_fields
from fedchurn.drift.reference import read_reference
from fedchurn.drift.verdict import DriftRule, DriftVerdict, Verdict
from fedchurn.errors import DataError, FedchurnError
from fedchurn.release.canonical import rows_to_columns
from fedchurn.serving.live import Live
from fedchurn.serving.log.log_lines import LoggedPrediction
from fedchurn.serving.log.log_reader import newest
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.serving_settings import ServingSettings
from fedchurn.serving.time_text import time_text

_FILE = "drift.json"


class DriftSeries(Protocol):
    """Where scores are shown (``fedchurn.serving.metrics.prometheus_service.ServiceMetrics``)."""

    def drift(self, feature: str, score: float, detected: bool) -> None: ...


class DriftChecks:
    """Checks on request; blocking, for worker threads."""

    def __init__(
        self,
        settings: ServingSettings,
        live: Live,
        series: DriftSeries,
        rule: DriftRule | None = None,
    ) -> None:
        self._settings = settings
        self._live = live
        self._series = series
        self._rule = rule or DriftRule()

    def status(self) -> Mapping[str, Any]:
        """What is compared, and what the last check of this release found; JSON-ready."""
        served = self._live.state.champion
        last = self._last(served.release_id)
        try:
            num_reference = read_reference(served.release.reference, served.contract).num_rows
        except FedchurnError:
            num_reference = 0
        num_logged = len(_window(self._settings, served.contract))
        return {
            "monitoring_active": num_reference > 0,
            "reference_samples": num_reference,
            "monitoring_samples": num_logged,
            "drift_threshold": self._rule.level,
            "drift_detected": last.get("drift_detected"),
            "drift_scores": last.get("drift_scores", {}),
            "features_with_drift": list(last.get("features_with_drift", ())),
            "last_check": last.get("timestamp"),
            "verdict": last.get("verdict"),
        }

    def check(self) -> Mapping[str, Any]:
        """Look now; JSON-ready (``fedchurn.drift.documented_fields``), with ``timestamp``.

        Raises:
            FedchurnError: too few predictions were logged, or the release has no reference.
        """
        served = self._live.state.champion
        found = check_predictions(_window(self._settings, served.contract), served, self._rule)
        if found.verdict is Verdict.TOO_FEW_ROWS:
            raise DataError(
                f"{found.num_window_rows} customers in the prediction log are too few for a check",
                next_step=f"predict at least {self._rule.min_rows} customers",
            )
        for column in found.columns:
            drifted = column.verdict is Verdict.DRIFT
            self._series.drift(column.column, column.score, drifted)
        now = time_text(time.time())
        told = {**documented_fields(found), "release": served.release_id, "timestamp": now}
        _write(self._settings.service_folder / _FILE, told)
        return told

    def _last(self, release_id: str) -> Mapping[str, Any]:
        """The last verdict, or nothing if there is none about this release."""
        try:
            text = (self._settings.service_folder / _FILE).read_text(encoding="utf-8")
            found = json.loads(text)
        except (OSError, ValueError):
            return {}
        is_ours = isinstance(found, dict) and found.get("release") == release_id
        return found if is_ours else {}


def check_predictions(
    predictions: Iterable[LoggedPrediction], served: ServedRelease, rule: DriftRule | None = None
) -> DriftVerdict:
    """Compare logged predictions, oldest first, with the reference of a release.

    A customer counts once, by the newest prediction: the tests assume that rows do not repeat, and
    a caller who asks about the same customers every day would look like drift. Columns that some
    prediction was logged without (masked) are left out.

    Raises:
        IntegrityError: the release has no reference.
    """
    contract = served.contract
    reference = read_reference(served.release.reference, contract)
    rows = [prediction.row() for prediction in _one_per_customer(predictions)]
    logged = set(contract.columns).intersection(*(row.keys() for row in rows))
    columns = rows_to_columns(rows, contract)
    left_out = contract.columns.keys() - logged
    return check_rows(reference, columns, rule, left_out=left_out)


def _window(settings: ServingSettings, contract: Contract) -> Sequence[LoggedPrediction]:
    """The newest predictions; those of other contracts have other columns."""
    num_rows = settings.drift_window_rows
    return newest(settings.predictions_folder, num_rows, contract=contract.contract)


def _one_per_customer(predictions: Iterable[LoggedPrediction]) -> list[LoggedPrediction]:
    kept: dict[str, LoggedPrediction] = {}
    for prediction in predictions:
        known = prediction.customer_id is not None
        key = f"c{prediction.customer_id}" if known else f"p{prediction.prediction_id}"
        kept[key] = prediction
    return list(kept.values())


def _write(path: Path, told: Mapping[str, Any]) -> None:
    """Replace the file in one step; a disk that refuses costs the memory, not the answer."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=".drift.", dir=path.parent)
    except OSError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(told, file)
        Path(partial).replace(path)
    except OSError:
        Path(partial).unlink(missing_ok=True)
