"""Endpoints about what came after answers: feedback, performance, drift, reloads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from bentos.churn.api.answers_reports import (
    DriftCheck,
    DriftStatus,
    FeedbackEntry,
    FeedbackReceipt,
)
from bentos.churn.api.answers_status import Reload
from bentos.churn.api.bodies import JSON, media_type, object_in, read_body, read_json
from bentos.churn.api.endpoints import answered
from bentos.churn.api.findings import Finding, Refused, finding, refused
from bentos.churn.api.parts import ApiParts
from fedchurn.errors import FedchurnError, nearest_match
from fedchurn.serving.records import Refusal
from fedchurn.serving.reload.result import ReloadResult
from fedchurn.serving.time_text import time_text

_FEEDBACK = ("prediction_id", "customer_id", "label", "predicted", "happened_at")
# What reference systems and people call the same things.
_SAME_FIELD = {
    "actual_churn": "label",
    "actual": "label",
    "churned": "label",
    "predicted_churn": "predicted",
    "feedback_date": "happened_at",
}
_ANOTHER_CUSTOMER = "another_customer"  # well said, and contradicts what the log knows


class ReportRoutes:
    """See the module docstring; ``parts`` is asked once per request."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts

    async def feedback(self, request: Request) -> Response:
        """What really happened to a customer, as a JSON body."""
        parts = self._parts()
        media_type(request, JSON)
        given = await read_json(request, parts.settings.max_body_bytes)
        return await run_in_threadpool(_take_feedback, parts, given)

    async def feedback_by_query(self, request: Request) -> Response:
        """The same as query parameters; a body is not looked at."""
        parts = self._parts()
        await read_body(request, parts.settings.max_body_bytes)
        return await run_in_threadpool(_take_feedback, parts, dict(request.query_params))

    async def performance(self, _: Request) -> Response:
        """The newest predictions, and how good those were whose truth is known."""
        parts = self._parts()
        report = parts.performance
        if report is None:
            raise _not_at_work("predictions are not logged", "FEDCHURN_SERVE_LOG")

        def look() -> Response:
            parts.flush()
            return answered(report().to_dict())

        return await run_in_threadpool(look)

    async def drift_status(self, _: Request) -> Response:
        """What drift is measured with, and what the last check found."""
        return answered(await run_in_threadpool(_drift_status, self._parts()))

    async def check_drift(self, request: Request) -> Response:
        """Compare the newest predictions with the release's reference, now."""
        parts = self._parts()
        await read_body(request, parts.settings.max_body_bytes)  # callers send {} or nothing
        return answered(await run_in_threadpool(_check_drift, parts))

    async def reload_model(self, request: Request) -> Response:
        """Serve the release in production, or the one that ``release`` names."""
        parts = self._parts()
        body = await read_body(request, parts.settings.max_body_bytes)
        given: Mapping[str, Any] = {}
        if body.strip():
            media_type(request, JSON)
            given = await object_in(body)
        release = _named_release(given)
        if parts.reloader is None:
            raise _not_at_work("this service serves one fixed release", "a home with releases")
        result = await run_in_threadpool(parts.reloader.reload, release)
        return answered(_reloaded(result, release))


def _take_feedback(parts: ApiParts, given: Mapping[str, Any]) -> Response:
    if parts.feedback is None:
        raise _not_at_work("feedback is not kept", "prediction log")
    contract = parts.live.state.champion.contract
    sent = _renamed(given)
    names = {field: name for field, (name, _) in sent.items()}
    if "label" not in sent:
        limit = f"{contract.target.positive} or {contract.target.negative}"
        message = "what happened is missing: send label (or actual_churn)"
        raise refused(422, "missing", message, field="label", limit=limit)
    parts.flush()  # the customer's latest prediction may be a moment old
    receipt = parts.feedback.add(contract, **{field: value for field, (_, value) in sent.items()})
    if isinstance(receipt, Refusal):
        found = [finding(problem) for problem in receipt.problems]
        for one in found:  # in the caller's words
            one.field = names.get(one.field or "", one.field)
        conflicts = all(one.rule == _ANOTHER_CUSTOMER for one in found)
        raise Refused(409 if conflicts else 422, found)
    parts.metrics.feedback(receipt.predicted, receipt.label)
    entry = FeedbackEntry(
        prediction_id=receipt.prediction_id,
        customer_id=receipt.customer_id,
        actual_churn=receipt.label,  # type: ignore[arg-type]
        predicted_churn=receipt.predicted,  # type: ignore[arg-type]
        feedback_date=receipt.happened_at,
        timestamp=receipt.time,
    )
    return answered(
        FeedbackReceipt(
            status="received", message=receipt.message, is_known=receipt.is_known, entry=entry
        )
    )


def _renamed(given: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Name as sent and value, by the words of ``FeedbackStore.add``; other names are refused."""
    found: dict[str, tuple[str, Any]] = {}
    wrong = []
    for name, value in list(given.items())[:100]:
        field = _SAME_FIELD.get(name, name)
        if field not in _FEEDBACK:
            wrong.append(_unknown_feedback(name[:60]))
        elif field in found:
            message = f"{name} says the same as another field; send one of them"
            wrong.append(Finding(field=name, message=message, rule="repeated_field"))
        else:
            found[field] = (name, value)
    if wrong:
        raise Refused(422, wrong)
    return found


def _unknown_feedback(name: str) -> Finding:
    accepted = [*_FEEDBACK, *_SAME_FIELD]
    near = nearest_match(name, accepted)
    return Finding(
        field=name,
        limit=", ".join(accepted),
        message=f"{name!r} is no field of feedback" + (f"; did you mean {near!r}?" if near else ""),
        rule="unknown_field",
        nearest=near,
    )


def _drift_status(parts: ApiParts) -> DriftStatus:
    parts.flush()
    found: Mapping[str, Any] = parts.drift.status() if parts.drift else {}
    num_reference = int(found.get("reference_samples", 0))
    num_monitored = int(found.get("monitoring_samples", 0))
    return DriftStatus(
        monitoring_active=bool(found.get("monitoring_active", False)),
        reference_samples=num_reference,
        reference_size=num_reference,
        monitoring_samples=num_monitored,
        monitoring_size=num_monitored,
        analyzed_samples=int(found.get("analyzed_samples", 0)),
        drift_threshold=found.get("drift_threshold"),
        drift_detected=found.get("drift_detected"),
        drift_scores=dict(found.get("drift_scores", {})),
        features_with_drift=list(found.get("features_with_drift", ())),
        report_path=found.get("report_path"),
        last_check=found.get("last_check"),
        window_id=found.get("window_id"),
        made_by=found.get("made_by"),
        summary=found.get("summary"),
        overall=found.get("overall"),
        evidence=list(found.get("evidence") or ()),
        clients=list(found.get("clients") or ()),
        performance=_performance(found),
        num_alerts_received=parts.alerts.num_received,
        verdict=found.get("verdict"),
        retraining=_newest_decision(parts),
        timestamp=time_text(time.time()),
    )


def _newest_decision(parts: ApiParts) -> dict[str, Any] | None:
    newest = parts.alerts.newest_decision
    return None if newest is None else dict(newest)


def _performance(found: Mapping[str, Any]) -> dict[str, Any] | None:
    known = {name: found.get(name) for name in ("estimated", "decay")}
    return known if any(known.values()) else None


def _check_drift(parts: ApiParts) -> DriftCheck:
    if parts.drift is None:
        raise _not_at_work("drift is not watched", "prediction log")
    parts.flush()
    try:
        found = parts.drift.check()
    except FedchurnError as error:
        raise refused(409, "too_few", error.what, limit=error.next_step or None) from None
    detected = bool(found["drift_detected"])
    return DriftCheck(
        status="drift_detected" if detected else "no_drift",
        drift_detected=detected,
        features_with_drift=dict(found["features_with_drift"]),
        drifted_features=list(found["features_with_drift"]),
        total_features_checked=int(found["total_features_checked"]),
        analyzed_samples=int(found["analyzed_samples"]),
        verdict=found.get("verdict"),
        timestamp=str(found.get("timestamp") or time_text(time.time())),
    )


def _named_release(given: Mapping[str, Any]) -> str | None:
    for name in given:
        if name != "release":
            message = f"{name[:60]!r} is no field of a reload; accepted: release"
            raise refused(422, "unknown_field", message, field=name, limit="release")
    release = given.get("release")
    if release is not None and not (isinstance(release, str) and 0 < len(release) <= 300):
        message = "release must be the id of a release"
        raise refused(422, "not_a_label", message, field="release", value=release)
    return release


def _reloaded(result: ReloadResult, asked: str | None) -> Reload:
    if result.status == "failed":
        message, _, next_step = result.message.partition("\n  next: ")  # as errors are written
        rule, limit = result.rule or "unavailable", next_step or None
        raise refused(409, rule, message, field="release", value=asked, limit=limit)
    return Reload(
        status=result.status,
        message=result.message,
        new_version=result.new_version,
        previous_version=result.previous_version,
        new_release=result.new_release,
        previous_release=result.previous_release,
        accuracy=result.accuracy,
        seconds=round(result.seconds, 6),
        timestamp=time_text(result.time_seconds),
    )


def _not_at_work(message: str, limit: str) -> Refused:
    return refused(409, "unavailable", message, limit=f"needs {limit}")
