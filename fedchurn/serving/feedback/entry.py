"""One piece of feedback: what a caller says, judged, and how a line of the file holds it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from fedchurn.contract.customer_rows import RowProblem
from fedchurn.contract.schema import Contract
from fedchurn.serving.feedback.client_and_value import client_of, value_of
from fedchurn.serving.log.log_lines import LoggedPrediction, line_of

KIND = "feedback"
FORMAT = "fedchurn-feedback-1"
HEADER = line_of({"format": FORMAT})
_MAX_CUSTOMER = 64
_MAX_TIME = 64
_MAX_ID = 64
_YES = ("1", "true", "yes")
_NO = ("0", "false", "no")
_IDS = "prediction_id or customer_id"


class PredictedThen(msgspec.Struct, frozen=True):
    """What had been predicted; fields as in ``LoggedPrediction``, and two that older files lack.

    Attributes:
        value: what the customer is worth (the contract's value column), or None.
        client: which client the row belongs to, or None (``client_and_value``).
    """

    time_seconds: float
    prediction_id: str
    customer_id: str | None
    release: str
    model_version: str | None
    role: str
    model_used: str
    probability: float
    prediction: int
    risk_level: str
    value: float | None = None
    client: str | None = None


class FeedbackEntry(msgspec.Struct, frozen=True):
    """One piece of feedback as kept.

    Attributes:
        time_seconds: when it was taken, Unix time.
        prediction_id: the prediction that the caller named, or None.
        customer_id: the customer that the caller named, or None.
        label: what happened: 1 is churn.
        happened_at: when, as the caller said (ISO 8601), or None.
        until_seconds: predictions after this Unix time are not meant: it had happened.
        said: what the caller says had been predicted (1 is churn), or None.
        predicted: the prediction as it was logged, or None when it was not found.
    """

    time_seconds: float
    prediction_id: str | None
    customer_id: str | None
    label: int
    happened_at: str | None
    until_seconds: float
    said: int | None
    predicted: PredictedThen | None = None


_LOGGED = [name for name in PredictedThen.__struct_fields__ if name not in ("value", "client")]


def predicted_then(found: LoggedPrediction, contract: Contract | None = None) -> PredictedThen:
    """What feedback keeps of a logged prediction; client and value if the contract is given."""
    row = found.row() if contract is not None else {}
    return PredictedThen(
        **{name: getattr(found, name) for name in _LOGGED},
        value=value_of(row, contract) if contract is not None else None,
        client=client_of(row, contract) if contract is not None else None,
    )


def judge(
    contract: Contract,
    *,
    now_seconds: float,
    label: object,
    prediction_id: object,
    customer_id: object,
    happened_at: object,
    predicted: object,
) -> FeedbackEntry | tuple[RowProblem, ...]:
    """An entry, or everything that is wrong; arguments as for ``FeedbackStore.add``."""
    problems: list[RowProblem] = []
    truth = read_label(label, contract)
    if truth is None:
        problems.append(_no_label("label", label, contract))
    said = None if predicted is None else read_label(predicted, contract)
    if predicted is not None and said is None:
        problems.append(_no_label("predicted", predicted, contract))
    until_seconds = now_seconds if happened_at is None else _end_of(happened_at)
    if until_seconds is None:
        problems.append(_no_time(happened_at))
    problems += _wrong_ids(prediction_id, customer_id)
    if problems or truth is None or until_seconds is None:
        return tuple(problems)
    return FeedbackEntry(
        time_seconds=now_seconds,
        prediction_id=_text(prediction_id),
        customer_id=_text(customer_id),
        label=truth,
        happened_at=None if happened_at is None else str(happened_at),
        until_seconds=until_seconds,
        said=said,
    )


def read_label(value: object, contract: Contract) -> int | None:
    """1 for churn, 0 for none, None for neither; the contract's own labels come first."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int):
        return None
    word = str(value).strip().casefold()
    known = dict.fromkeys(_YES, 1) | dict.fromkeys(_NO, 0)
    known |= {contract.target.positive.casefold(): 1, contract.target.negative.casefold(): 0}
    return known.get(word)


def _no_label(field: str, value: object, contract: Contract) -> RowProblem:
    target = contract.target
    limit = f"{target.positive!r} or {target.negative!r}, 1 or 0, true or false, Yes or No"
    rule = "missing" if value is None else "not_a_label"
    return RowProblem(field, value, limit, f"{field} must be {limit}, not {value!r:.60}", rule)


def _no_time(value: object) -> RowProblem:
    limit = "ISO 8601, such as 2026-03-01 or 2026-03-01T12:00:00Z"
    message = f"happened_at must be a time in {limit}, not {value!r:.60}"
    return RowProblem("happened_at", value, limit, message, "not_a_time")


def _end_of(value: object) -> float | None:
    """Unix time of an ISO 8601 time, of the end of an ISO 8601 day, or None; UTC if unsaid."""
    if not isinstance(value, str) or len(value) > _MAX_TIME:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        if len(value) <= len("2026-03-01"):
            moment += timedelta(days=1)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def _wrong_ids(prediction_id: object, customer_id: object) -> list[RowProblem]:
    if prediction_id is None and customer_id is None:
        message = f"feedback is about one prediction: {_IDS} is needed"
        return [RowProblem("prediction_id", None, _IDS, message, "missing")]
    problems = []
    if prediction_id is not None and not (
        isinstance(prediction_id, str) and 0 < len(prediction_id) <= _MAX_ID
    ):
        problems.append(_no_id("prediction_id", prediction_id, f"a text of 1 to {_MAX_ID} letters"))
    is_number = isinstance(customer_id, int | float) and not isinstance(customer_id, bool)
    if (
        customer_id is not None
        and not is_number
        and not (isinstance(customer_id, str) and customer_id)
    ):
        problems.append(_no_id("customer_id", customer_id, "a text or a number"))
    return problems


def _no_id(field: str, value: object, limit: str) -> RowProblem:
    message = f"{field} must be {limit}, not {value!r:.60}"
    return RowProblem(field, value, limit, message, "not_an_id")


def _text(value: object) -> str | None:
    """An id as the log would spell it (``answering.customer_id``, ``log_lines.line_of``)."""
    if value is None:
        return None
    return str(value)[:_MAX_CUSTOMER].encode("utf-8", "backslashreplace").decode()
