"""Every operation of the service, as the OpenAPI page tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bentos.churn.api.bodies import MAX_ROWS

_REF = "#/components/schemas/"
Content = dict[str, Any]

ERRORS = {
    400: "BentoML cannot read the body.",
    401: "No valid API key was sent.",
    403: "The API key lacks the scope.",
    409: "What was asked for is not possible in this state of the service.",
    413: "The body is too large.",
    415: "The body is of a type that is not read here.",
    422: "What was sent cannot be answered; every reason is named.",
    429: "Too many requests; Retry-After says when to try again.",
    500: "The service met an error that it did not foresee.",
    503: "The service cannot answer now.",
    504: "No answer was ready in time.",
}


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Attributes:
        answers: schema of a success by media type.
        request: schema of the body by media type; ``x-examples`` names examples of JSON.
        errors: statuses beside those that follow from body and access.
        other_answers: statuses whose answer has another shape.
        is_bentos_own: answered by BentoML itself.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    answers: Content
    description: str = ""
    request: Content = field(default_factory=dict)
    request_required: bool = True
    parameters: tuple[Content, ...] = ()
    errors: tuple[int, ...] = ()
    other_answers: tuple[tuple[int, Content], ...] = ()
    is_bentos_own: bool = False


def _json(name: str) -> Content:
    return {"application/json": {"schema": {"$ref": _REF + name}}}


def _body(*names: str, examples: str = "") -> Content:
    refs: list[Content] = [{"$ref": _REF + name} for name in names]
    schema: Content = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"application/json": {**schema, **({"x-examples": examples} if examples else {})}}


def _query(name: str, description: str, **schema: Any) -> Content:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _plain(media: str) -> Content:
    return {media: {"schema": {"type": "string"}}}


_EXPLAIN = _query(
    "explain", "whether to explain; the contract and a setting decide else", type="boolean"
)
_FORMAT = _query("format", "csv answers a list with a file", enum=["json", "csv"])
_CSV: Content = {"text/csv": {"type": "string"}}
_FORM: Content = {
    "multipart/form-data": {
        "type": "object",
        "properties": {"file": {"type": "string", "contentMediaType": "text/csv"}},
        "required": ["file"],
    }
}
_ONE_OR_MANY = {
    "application/json": {
        "schema": {"anyOf": [{"$ref": _REF + "Prediction"}, {"$ref": _REF + "Batch"}]}
    },
    **_plain("text/csv"),
}
_MANY = {**_json("Batch"), **_plain("text/csv")}
_ROWS_SENT: Content = {
    "type": "object",
    "properties": {
        "customers": {
            "type": "array",
            "items": {"$ref": _REF + "Customer"},
            "minItems": 1,
            "maxItems": MAX_ROWS,
        }
    },
    "required": ["customers"],
}
_ROWS: Content = {
    "application/json": {
        "schema": {"type": "array", "items": {"$ref": _REF + "Prediction"}},
    }
}
_PARTLY = (
    "Good rows are answered with 200 and bad rows are in errors by index; when no row is good, "
    "the answer is 422."
)
_UNHEALTHY = {"description": "It cannot answer; errors say why.", "content": _json("Health")}
_CARD = {
    "application/json": {
        "schema": {
            "allOf": [
                {"$ref": _REF + "Card"},
                {
                    "type": "object",
                    "properties": {
                        "release": {"type": "string"},
                        "model_version": {"type": ["string", "null"]},
                    },
                    "required": ["release", "model_version"],
                },
            ]
        }
    }
}


def _get(path: str, name: str, tag: str, summary: str, answers: Content, **more: Any) -> Operation:
    return Operation("get", path, name, tag, summary, answers, **more)


def _post(path: str, name: str, tag: str, summary: str, answers: Content, **more: Any) -> Operation:
    return Operation("post", path, name, tag, summary, answers, **more)


_CHURN_WORDS = ["0", "1", "true", "false", "yes", "no"]
_FEEDBACK_QUERY = (
    {
        **_query("customer_id", "whose latest prediction", type="string", minLength=1),
        "required": True,
    },
    {**_query("actual_churn", "what happened", enum=_CHURN_WORDS), "required": True},
    _query("predicted_churn", "what had been predicted", enum=_CHURN_WORDS),
    _query("feedback_date", "when", type="string", format="date"),
)

OPERATIONS = (
    _post(
        "/predict",
        "predict",
        "predictions",
        "How likely a customer is to leave",
        _ONE_OR_MANY,
        request=_body("Customer", "WrappedCustomer", "CustomerList", examples="customer"),
        parameters=(_EXPLAIN, _FORMAT),
        description=f"A flat customer, one in features, or a list in customers. {_PARTLY}",
    ),
    _post(
        "/predict/single",
        "predict_single",
        "predictions",
        "The same for exactly one customer",
        _json("Prediction"),
        request=_body("Customer", "WrappedCustomer", examples="customer"),
        parameters=(_EXPLAIN,),
    ),
    _post(
        "/predict/batch",
        "predict_batch",
        "predictions",
        "1 to 1000 customers, as JSON or as a CSV file",
        _MANY,
        request={**_body("CustomerList", examples="batch"), **_CSV, **_FORM},
        parameters=(_EXPLAIN, _FORMAT),
        description=_PARTLY,
    ),
    _post(
        "/predict/adaptive",
        "predict_adaptive",
        "predictions",
        "Rows of concurrent requests, answered together",
        _ROWS,
        request={"application/json": {**_ROWS_SENT, "x-examples": "batch"}},
        is_bentos_own=True,
        errors=(400, 500, 503, 504),
        description="BentoML's adaptive batching: one entry per row, in order. A bad row has the "
        "request refused as a whole.",
    ),
    _get(
        "/predict/template.csv",
        "csv_template",
        "predictions",
        "A CSV file to fill in",
        _plain("text/csv"),
    ),
    _post(
        "/feedback",
        "feedback",
        "monitoring",
        "What really happened to a customer",
        _json("FeedbackReceipt"),
        request=_body("Feedback", examples="feedback"),
        errors=(409,),
    ),
    _post(
        "/monitoring/feedback",
        "feedback_by_query",
        "monitoring",
        "The same as query parameters",
        _json("FeedbackReceipt"),
        parameters=_FEEDBACK_QUERY,
        errors=(409, 413, 422),
    ),
    _get(
        "/monitoring/performance",
        "performance",
        "monitoring",
        "Newest predictions, and how good those were whose truth is known",
        _json("Performance"),
        errors=(409,),
    ),
    _get(
        "/drift-status",
        "drift_status",
        "monitoring",
        "What the last drift check found",
        _json("DriftStatus"),
    ),
    _post(
        "/check-drift",
        "check_drift",
        "monitoring",
        "Compare the newest predictions with the reference, now",
        _json("DriftCheck"),
        errors=(409, 413),
    ),
    _post(
        "/webhook/drift-alert",
        "drift_alert",
        "monitoring",
        "Take an alert from Alertmanager",
        _json("AlertReceipt"),
        request=_body("Alert", examples="alert"),
    ),
    _get(
        "/fallback-stats",
        "fallback_stats",
        "monitoring",
        "Who answered, and why",
        _json("FallbackStats"),
    ),
    _get(
        "/experiments",
        "experiments",
        "monitoring",
        "Shadow mode and A/B split",
        _json("Experiment"),
    ),
    _get(
        "/metrics",
        "metrics",
        "monitoring",
        "Metrics for Prometheus",
        _plain("text/plain"),
        is_bentos_own=True,
    ),
    _get("/model-info", "model_info", "release", "The release that answers", _json("ModelInfo")),
    _get("/release", "release", "release", "Its card: data, settings, metrics, clients", _CARD),
    _post(
        "/reload-model",
        "reload_model",
        "release",
        "Serve the release in production, or one that is named",
        _json("Reload"),
        request=_body("ReloadRequest", examples="reload"),
        request_required=False,
        errors=(409,),
    ),
    _get(
        "/health",
        "health",
        "service",
        "Whether the service can answer",
        _json("Health"),
        other_answers=((503, _UNHEALTHY),),
    ),
    _get("/ready", "ready", "service", "Whether this worker has its release", _json("Ready")),
    _get(
        "/livez",
        "livez",
        "service",
        "Whether the process lives",
        _plain("text/plain"),
        is_bentos_own=True,
    ),
    _get(
        "/readyz",
        "readyz",
        "service",
        "BentoML's own readiness",
        _plain("text/plain"),
        is_bentos_own=True,
        errors=(503,),
    ),
    _get("/", "index", "service", "What this is", _json("Index")),
    _get("/docs", "docs", "service", "This document as a page", _plain("text/html")),
    _get(
        "/openapi.json",
        "openapi",
        "service",
        "This document",
        {"application/json": {"schema": {"type": "object"}}},
    ),
)
ALIASES = {
    "/model_info": "/model-info",
    "/model/info": "/model-info",
    "/monitoring/drift": "/drift-status",
    "/docs.json": "/openapi.json",
}
