"""Request bodies: read within limits, taken as JSON with care, and told apart by shape.

{...}                      one customer
{"features": {...}}        one customer, wrapped
{"customers": [{...}]}     1 to 1000 customers, with include_probabilities, include_explanations
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from bentos.churn.api.findings import Finding, Refused, refused, shortened
from fedchurn.contract.schema import Contract

MAX_ROWS = 1000
MAX_UNKNOWN_FIELDS = 200  # per request; the nearest match of each takes some 100 microseconds
JSON = "application/json"
CSV = "text/csv"
MULTIPART = "multipart/form-data"

Row = Mapping[str, Any]
_SMALL_BYTES = 65_536  # up to here JSON is read within a millisecond, thus by the event loop
_decode = msgspec.json.Decoder().decode
_FLAGS = ("include_probabilities", "include_explanations")


@dataclass(frozen=True)
class Batch:
    """Rows as sent.

    Attributes:
        rows: 1 to ``MAX_ROWS``; any of them may be no customer at all.
        include_probabilities: whether answers have probabilities.
        include_explanations: whether answers are explained; None is by the service's setting.
        ignored_columns: columns of a file that the contract ignores.
        ragged: why a row of a file is none, by index.
    """

    rows: Sequence[Any]
    include_probabilities: bool = True
    include_explanations: bool | None = None
    ignored_columns: tuple[str, ...] = ()
    ragged: Mapping[int, str] | None = None


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body.

    Raises:
        Refused: it is larger than ``max_bytes``, compressed, or the caller went away.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() not in ("identity", ""):
        raise refused(415, "unreadable_body", "bodies are not taken compressed", limit="identity")
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                limit = f"{max_bytes} bytes"
                raise refused(413, "too_large", f"the body is larger than {limit}", limit=limit)
            chunks.append(chunk)
    except ClientDisconnect:
        raise refused(400, "unreadable_body", "the caller left before the body was whole") from None
    return b"".join(chunks)


async def read_json(request: Request, max_bytes: int) -> dict[str, Any]:
    """The whole body as ``read_object`` reads it; a large one does not hold up other requests.

    Raises:
        Refused: see ``read_body`` and ``read_object``.
    """
    return await object_in(await read_body(request, max_bytes))


async def object_in(body: bytes) -> dict[str, Any]:
    """The same of a body that has been read."""
    if len(body) <= _SMALL_BYTES:
        return read_object(body)
    return await run_in_threadpool(read_object, body)


def media_type(request: Request, *accepted: str) -> str:
    """Which of the ``accepted`` media types the body has; the first where nothing is said.

    Raises:
        Refused: another one.
    """
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if not kind:
        return accepted[0]
    if kind.endswith("+json"):
        kind = JSON
    if kind not in accepted:
        limit = "content-type " + " or ".join(accepted)
        message = f"the body is {shortened(kind, 60)!r}, which is not read here; send {limit}"
        raise refused(415, "unreadable_body", message, field="content-type", limit=limit)
    return kind


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``; field names and values are not judged here.

    NaN, infinity, numbers beyond float64, names that come twice and text that is no Unicode are no
    JSON here.

    Raises:
        Refused: the body is no such object.
    """
    if not body.strip():
        raise _unreadable("the body is empty")
    try:
        found = _decode(body)
        # A quick count first: a name that comes twice leaves more colons than names.
        if body.count(b":") != _num_names(found):
            json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"the body is not JSON: {_said(error)}") from None
    if not isinstance(found, dict):
        raise _unreadable("the body must be one JSON object, not a list or a single value")
    return found


def shape_of(body: dict[str, Any], contract: Contract) -> str:
    """``customer``, ``features`` or ``customers``; a column of that name makes it a customer."""
    for name in ("features", "customers"):
        if name in body and name not in contract.columns:
            return name
    return "customer"


def customer_in(body: dict[str, Any], contract: Contract) -> Row:
    """The one customer in a body.

    Raises:
        Refused: the body has another shape, or too many unknown fields.
    """
    shape = shape_of(body, contract)
    if shape == "customers":
        message = "one customer is answered here; send lists to /predict or /predict/batch"
        raise refused(422, "unknown_field", message, field="customers")
    if shape == "features":
        _only(body, ("features",))
        body = body["features"]
        if not isinstance(body, dict):
            message = "features must be an object with a customer's fields"
            raise refused(422, "not_an_object", message, field="features", value=body)
    bound_unknown_fields([body], contract)
    return body


def batch_in(body: dict[str, Any], contract: Contract) -> Batch:
    """The customers in a body.

    Raises:
        Refused: it has another shape, or too many rows or unknown fields.
    """
    if "customers" not in body:
        message = "customers is required: a list of 1 to 1000 customers"
        raise refused(422, "missing", message, field="customers", limit=f"1 to {MAX_ROWS} rows")
    _only(body, ("customers", *_FLAGS))
    rows = body["customers"]
    if not isinstance(rows, list):
        message = "customers must be a list of objects"
        raise refused(422, "not_a_list", message, field="customers", value=rows)
    check_num_rows(len(rows))
    bound_unknown_fields([row for row in rows if isinstance(row, dict)], contract)
    return Batch(
        rows=rows,
        include_probabilities=_flag(body, "include_probabilities") is not False,
        include_explanations=_flag(body, "include_explanations"),
    )


def check_num_rows(num_rows: int) -> None:
    """Refuse fewer rows than one and more than ``MAX_ROWS``."""
    if not 1 <= num_rows <= MAX_ROWS:
        limit = f"1 to {MAX_ROWS} rows"
        rule = "too_few" if num_rows < 1 else "too_many"
        message = f"{num_rows} customers were sent; accepted: {limit}"
        raise refused(422, rule, message, field="customers", value=num_rows, limit=limit)


def bound_unknown_fields(rows: Sequence[Row], contract: Contract) -> None:
    """Refuse more than ``MAX_UNKNOWN_FIELDS`` fields that are not the contract's."""
    accepted = accepted_fields(contract)
    num_unknown = sum(len(row.keys() - accepted) for row in rows if not row.keys() <= accepted)
    if num_unknown > MAX_UNKNOWN_FIELDS:
        message = (
            f"{num_unknown} fields are not those of contract {contract.contract!r}; "
            f"accepted: {', '.join(contract.columns)}"
        )
        raise refused(422, "unknown_field", message, value=num_unknown)


def accepted_fields(contract: Contract) -> set[str]:
    """Names that a customer may have."""
    others = {contract.target.column, *([contract.id.column] if contract.id else [])}
    return others | contract.columns.keys()


def not_a_customer(row: object, index: int) -> Finding:
    """Why something in a list of customers is none."""
    message = "a customer must be an object with the fields of the contract"
    value = str(type(row).__name__)
    return Finding(value=value, message=message, rule="not_an_object", index=index)


def _flag(body: Mapping[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    message = f"{name} must be true or false"
    raise refused(422, "not_a_flag", message, field=name, value=value, limit="true or false")


def _only(body: Mapping[str, Any], accepted: Sequence[str]) -> None:
    for name in body:
        if name not in accepted:
            limit = ", ".join(accepted)
            message = f"{shortened(name)!r} does not belong beside {accepted[0]!r}"
            raise refused(422, "unknown_field", message, field=name, limit=limit)


def _unreadable(message: str) -> Refused:
    return refused(422, "unreadable_body", message, limit="one JSON object")


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return str(error)


def _num_names(found: object) -> int:
    """Names of all objects in ``found``; shallow values cost nothing."""
    if isinstance(found, dict):
        inner = (_num_names(v) for v in found.values() if isinstance(v, dict | list))
        return len(found) + sum(inner)
    if isinstance(found, list):
        return sum(_num_names(v) for v in found if isinstance(v, dict | list))
    return 0


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {shortened(name, 60)!r} comes twice")
        found[name] = value
    return found
