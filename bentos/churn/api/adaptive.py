"""Rows of concurrent requests, merged by BentoML's adaptive batching.

BentoML validates each request by itself, before it merges them; so a row is judged there, and a
request with a bad row is refused as a whole, while the others that it would have met go on.

The service's signature needs this module, so BentoML's arbiter imports it; the functions import
what only workers have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from bentos.churn.api.mounted import current_parts

if TYPE_CHECKING:
    from bentos.churn.api.parts import ApiParts

ENDPOINT = "/predict/adaptive"


def _judged(row: dict[str, Any]) -> dict[str, Any]:
    from fedchurn.contract.customer_rows import canonical_row

    problems = canonical_row(row, current_parts().live.state.champion.contract).problems
    if problems:
        message = "; ".join(problem.message for problem in problems)
        raise PydanticCustomError("row", "{message}", {"message": message})
    return row


def _bounded(rows: object) -> object:
    from bentos.churn.api.bodies import bound_unknown_fields, check_num_rows
    from bentos.churn.api.findings import Refused

    if not isinstance(rows, list):
        return rows  # pydantic says what it must be
    try:
        check_num_rows(len(rows))
        given = [row for row in rows if isinstance(row, dict)]
        bound_unknown_fields(given, current_parts().live.state.champion.contract)
    except Refused as error:
        (found,) = error.findings
        raise PydanticCustomError("rows", "{message}", {"message": found.message}) from None
    return rows


Customer = Annotated[dict[str, Any], AfterValidator(_judged)]
# Bounded before any row is judged: that takes the event loop, and every other request waits.
Customers = Annotated[list[Customer], BeforeValidator(_bounded)]


def adaptive_answers(
    parts: ApiParts, customers: list[dict[str, Any]], started: float
) -> list[dict[str, Any]]:
    """The fields of a prediction per row, in order.

    Raises:
        ServiceUnavailable: a row is refused that was judged good when it came, since a reload
            changed the contract meanwhile. BentoML deals answers out by place, so one that is
            missing would give customers each other's.
    """
    from bentoml.exceptions import ServiceUnavailable

    from bentos.churn.api.answers import prediction_fields
    from fedchurn.serving.answering import Question
    from fedchurn.serving.records import Answer

    answers = parts.answering.many(customers, Question(ENDPOINT, started))
    found = [msgspec.to_builtins(prediction_fields(a)) for a in answers if isinstance(a, Answer)]
    if len(found) != len(customers):
        raise ServiceUnavailable("the contract has changed while rows waited; send them again")
    return found
