"""The OpenAPI 3.1 document of the service, from the contract that it serves.

Requests come from ``fedchurn.serving.request_schema``, answers from the records that are sent, and
who may call from the gate's table, so the page cannot say anything else than the service does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from bentos.churn.api.answers import Batch, Prediction
from bentos.churn.api.answers_reports import AlertReceipt, DriftCheck, DriftStatus, FeedbackReceipt
from bentos.churn.api.answers_status import (
    Experiment,
    FallbackStats,
    Health,
    Index,
    ModelInfo,
    Ready,
    Reload,
)
from bentos.churn.api.bodies import CSV, MAX_ROWS
from bentos.churn.api.csv_tables import template
from bentos.churn.api.findings import Errors
from bentos.churn.api.openapi_operations import ERRORS, OPERATIONS, Operation
from bentos.churn.gate.access import ROUTES, Access
from fedchurn import __version__
from fedchurn.contract.schema import Contract
from fedchurn.release.card import Card
from fedchurn.serving.examples import example_customers
from fedchurn.serving.feedback.performance import Performance
from fedchurn.serving.request_schema import customer_schema

Schema = dict[str, Any]

_ANSWERS = (
    Prediction,
    Batch,
    Errors,
    Index,
    Health,
    Ready,
    ModelInfo,
    Card,
    FallbackStats,
    Experiment,
    Reload,
    DriftStatus,
    DriftCheck,
    AlertReceipt,
    FeedbackReceipt,
    Performance,
)
_REF = "#/components/schemas/"
# Harmless when sent from the page: nobody's customer, an alert that is over, what is wanted anyway.
_FIXED_EXAMPLES: dict[str, Schema] = {
    "feedback": {"customer_id": "example", "label": 1, "happened_at": "2026-03-01"},
    "alert": {
        "version": "4",
        "status": "resolved",
        "alerts": [{"status": "resolved", "labels": {"alertname": "Example"}}],
    },
    "reload": {},
}


def openapi_document(contract: Contract, *, keys_needed: bool) -> Schema:
    """The document.

    Args:
        contract: what a customer is.
        keys_needed: whether the service asks for API keys.
    """
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(
            operation, contract, keys_needed
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Fedchurn: {contract.title or contract.contract}",
            "version": __version__,
            "description": "How likely a customer is to leave, and why. Errors have one shape.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(contract),
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "Bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _schemas(contract: Contract) -> Schema:
    _, answers = msgspec.json.schema_components(_ANSWERS, ref_template=_REF + "{name}")
    customer = {"$ref": _REF + "Customer"}
    flag = {"type": ["boolean", "null"]}
    return {
        "Customer": customer_schema(contract),
        "WrappedCustomer": _closed({"features": customer}, ["features"]),
        "CustomerList": _closed(
            {
                "customers": {
                    "type": "array",
                    "items": customer,
                    "minItems": 1,
                    "maxItems": MAX_ROWS,
                },
                "include_probabilities": flag,
                "include_explanations": flag,
            },
            ["customers"],
        ),
        "Feedback": _feedback(contract),
        "Alert": {
            "type": "object",
            "description": "What Alertmanager sends; other fields are not kept.",
            "properties": {"alerts": {"type": "array", "items": {"type": "object"}}},
            "required": ["alerts"],
        },
        "ReloadRequest": _closed(
            {"release": {"type": ["string", "null"], "minLength": 1, "maxLength": 300}}, []
        ),
        **answers,
    }


def _feedback(contract: Contract) -> Schema:
    target = contract.target
    words = ["0", "1", "true", "false", "yes", "no", "True", "False", "Yes", "No"]
    labels = dict.fromkeys([target.positive, target.negative, *words])
    label = {"enum": [0, 1, True, False, *labels]}
    said = {"enum": [*label["enum"], None]}
    time = {"type": ["string", "null"], "anyOf": [{"format": "date-time"}, {"format": "date"}]}
    schema = _closed(
        {
            "prediction_id": {"type": ["string", "null"], "minLength": 1, "maxLength": 64},
            "customer_id": {"type": ["string", "number", "null"], "minLength": 1},
            "label": {**label, "description": "what happened"},
            "actual_churn": {**label, "description": "the same"},
            "predicted_churn": {**said, "description": "what had been predicted"},
            "happened_at": {**time, "description": "when; a day means its end"},
            "feedback_date": {**time, "description": "the same"},
        },
        [],
    )
    schema["description"] = (
        "About a prediction_id, or about the latest prediction of a customer_id."
    )
    schema["allOf"] = [
        {"oneOf": [{"required": ["label"]}, {"required": ["actual_churn"]}]},
        {"anyOf": [_present("prediction_id"), _present("customer_id")]},
        {"not": {"required": ["happened_at", "feedback_date"]}},
    ]
    return schema


def _present(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _operation(operation: Operation, contract: Contract, keys_needed: bool) -> Schema:
    access = _access(operation)
    described: Schema = {
        "summary": operation.summary,
        "operationId": operation.name,
        "tags": [operation.tag],
        "responses": _responses(operation, access),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    if operation.request:
        described["requestBody"] = {
            "required": operation.request_required,
            "content": _content(operation.request, contract),
        }
    if keys_needed and access is not Access.OPEN:
        described["security"] = [{"ApiKey": []}, {"Bearer": []}]
    return described


def _content(request: dict[str, Any], contract: Contract) -> Schema:
    found: Schema = {}
    for media, schema in request.items():
        found[media] = {"schema": schema}
    if CSV in request:
        found[CSV]["examples"] = {"template": {"value": template(contract)}}
    if request.get("application/json", {}).get("x-examples"):
        shape = request["application/json"]["x-examples"]
        schema = {k: v for k, v in request["application/json"].items() if k != "x-examples"}
        found["application/json"] = {"schema": schema, "examples": _examples(contract, shape)}
    return found


def _examples(contract: Contract, shape: str) -> Schema:
    if shape in _FIXED_EXAMPLES:
        return {shape: {"value": _FIXED_EXAMPLES[shape]}}
    customers = example_customers(contract)
    if shape == "batch":
        return {"batch": {"value": {"customers": list(customers.values())}}}
    return {name: {"value": customer} for name, customer in customers.items()}


def _responses(operation: Operation, access: Access) -> Schema:
    responses: Schema = {"200": {"description": "OK", "content": dict(operation.answers)}}
    for status in _statuses(operation, access):
        responses[str(status)] = {
            "description": ERRORS[status],
            "content": {"application/json": {"schema": {"$ref": _REF + "Errors"}}},
        }
    for status, answer in operation.other_answers:
        responses[str(status)] = answer
    return responses


def _statuses(operation: Operation, access: Access) -> Iterable[int]:
    with_body = (413, 415, 422) if operation.request else ()
    guarded = () if access is Access.OPEN else (401, 403, 429)
    always = () if operation.is_bentos_own else (500, 503, 504)
    return sorted({*operation.errors, *with_body, *guarded, *always})


def _access(operation: Operation) -> Access:
    return ROUTES.get(operation.path, {}).get(operation.method.upper(), Access.READ)


def _closed(properties: Schema, required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
