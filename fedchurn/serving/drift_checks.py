"""Drift of what the service was asked: newest logged predictions against the release's reference.

The last verdict is one small file beside the log, so that every worker tells the same one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.drift.check import check_rows
from fedchurn.drift.documented_fields import documented_fields
from fedchurn.drift.online import ONLINE, WINDOW_ROWS, check_online
from fedchurn.drift.reference import DriftReference, read_reference
from fedchurn.drift.verdict import DriftRule, DriftVerdict, Verdict
from fedchurn.errors import DataError, FedchurnError, ReleaseError
from fedchurn.release.canonical import rows_to_columns
from fedchurn.serving.drift_file import read_newest, write_newest
from fedchurn.serving.live import Live
from fedchurn.serving.log.log_lines import LoggedPrediction
from fedchurn.serving.log.log_reader import newest
from fedchurn.serving.records import CHAMPION
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.serving_settings import ServingSettings
from fedchurn.serving.time_text import time_text

# What the drift runner tells beside columns; a check on request knows less.
_TOLD = (
    *("window_id", "made_by", "report_path", "summary", "overall", "evidence"),
    *("clients", "extent", "estimated", "decay"),
)


class DriftSeries(Protocol):
    """Where findings are counted (``fedchurn.serving.metrics.prometheus_drift.DriftSeries``)."""

    def detected(self, columns: Iterable[str]) -> None: ...


class DriftChecks:
    """Checks on request, and the newest verdict whoever made it; blocking, for worker threads."""

    def __init__(self, settings: ServingSettings, live: Live, series: DriftSeries) -> None:
        self._settings = settings
        self._live = live
        self._series = series

    def status(self) -> Mapping[str, Any]:
        """What is compared, and what the newest check of this release found; JSON-ready."""
        served = self._live.state.champion
        told = read_newest(self._settings.service_folder, served.release_id)
        reference = _reference(served)
        rule = ONLINE if self._is_online else DriftRule()
        if reference is not None and not self._is_online:
            rule = reference.rule(self._settings.drift_window_rows)
        num_reference = reference.num_rows if reference else 0
        return {
            "monitoring_active": num_reference > 0,
            "reference_samples": num_reference,
            "monitoring_samples": len(self._window(served.contract)),
            "analyzed_samples": told.get("analyzed_samples", 0),
            "drift_threshold": told.get("drift_threshold", rule.level),
            "drift_detected": told.get("drift_detected"),
            "drift_scores": told.get("drift_scores", {}),
            "features_with_drift": list(told.get("features_with_drift", ())),
            "last_check": told.get("timestamp"),
            "verdict": told.get("verdict"),
            **{name: told.get(name) for name in _TOLD},
        }

    def check(self) -> Mapping[str, Any]:
        """Look now; JSON-ready (``fedchurn.drift.documented_fields``), with ``timestamp``.

        Raises:
            FedchurnError: too few predictions were logged, or the release has no reference.
        """
        served = self._live.state.champion
        found = check_predictions(self._window(served.contract), served, online=self._is_online)
        if found.verdict is Verdict.TOO_FEW_ROWS:
            raise DataError(
                f"{found.num_window_rows} customers in the prediction log are too few for a check",
                next_step=f"predict at least {found.rule.min_rows} customers",
            )
        drifted = [column.column for column in found.drifted]
        told = {
            **documented_fields(found),
            **dict.fromkeys(_TOLD),
            "made_by": "request",
            "overall": str(found.verdict),
            "evidence": list(dict.fromkeys(str(column.subject) for column in found.drifted)),
            "release": served.release_id,
            "timestamp": time_text(time.time()),
        }
        self._series.detected(drifted)
        with suppress(ReleaseError):  # a disk that refuses costs the memory, not the answer
            write_newest(self._settings.service_folder, told)
        return told

    @property
    def _is_online(self) -> bool:
        return self._settings.drift_rule == "online"

    def _window(self, contract: Contract) -> Sequence[LoggedPrediction]:
        """The newest predictions; those of other contracts have other columns."""
        settings = self._settings
        num_rows = WINDOW_ROWS if self._is_online else settings.drift_window_rows
        return newest(settings.predictions_folder, num_rows, contract=contract.contract)


def check_predictions(
    predictions: Iterable[LoggedPrediction], served: ServedRelease, *, online: bool = False
) -> DriftVerdict:
    """Compare logged predictions, oldest first, with the reference of a release.

    A customer counts once, by the newest prediction: the tests assume that rows do not repeat, and
    a caller who asks about the same customers every day would look like drift. Columns that some
    prediction was logged without (masked) are left out, and so are churn probabilities that
    another release gave, or a fallback.

    Args:
        predictions: what to compare.
        served: the release.
        online: by the rule of a reference system (``fedchurn.drift.online``).

    Raises:
        IntegrityError: the release has no reference.
    """
    contract = served.contract
    reference = read_reference(served.release.reference, contract)
    counted = _one_per_customer(predictions)
    rows = [prediction.row() for prediction in counted]
    logged = set(contract.columns).intersection(*(row.keys() for row in rows))
    columns = rows_to_columns(rows, contract)
    kept = {name: values for name, values in columns.items() if name in logged}
    if online:
        return check_online(reference, reference.histograms_of(kept), len(rows))
    return check_rows(reference, kept, probabilities=_scores(counted, served.release_id))


def _scores(predictions: Iterable[LoggedPrediction], release_id: str) -> NDArray[np.float64] | None:
    """Churn probabilities that the release's own model gave; None without any."""
    found = [
        one.probability
        for one in predictions
        if one.model_used == CHAMPION and one.release == release_id
    ]
    return np.asarray(found, dtype=np.float64) if found else None


def _reference(served: ServedRelease) -> DriftReference | None:
    try:
        return read_reference(served.release.reference, served.contract)
    except FedchurnError:
        return None


def _one_per_customer(predictions: Iterable[LoggedPrediction]) -> list[LoggedPrediction]:
    kept: dict[str, LoggedPrediction] = {}
    for prediction in predictions:
        known = prediction.customer_id is not None
        key = f"c{prediction.customer_id}" if known else f"p{prediction.prediction_id}"
        kept[key] = prediction
    return list(kept.values())
