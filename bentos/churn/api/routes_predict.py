"""Endpoints that answer about customers."""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import NamedTuple

from msgspec import UNSET
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from bentos.churn.api.answers import Batch as Answers
from bentos.churn.api.answers import (
    Prediction,
    explained_fields,
    prediction_fields,
)
from bentos.churn.api.bodies import (
    CSV,
    JSON,
    MULTIPART,
    Batch,
    Row,
    batch_in,
    customer_in,
    media_type,
    not_a_customer,
    object_in,
    read_body,
    read_json,
    shape_of,
)
from bentos.churn.api.csv_tables import read_csv, template, write_csv
from bentos.churn.api.endpoints import answered, choice, flag
from bentos.churn.api.findings import Finding, Refused, finding, refused
from bentos.churn.api.parts import ApiParts
from fedchurn.contract.customer_rows import known_fields
from fedchurn.serving.answering import Question
from fedchurn.serving.records import Answer, Refusal
from fedchurn.serving.time_text import time_text

_CSV_HEADERS = {"content-disposition": 'attachment; filename="predictions.csv"'}


class _Problem(NamedTuple):
    """Why a row was refused, as it is counted."""

    field: str
    rule: str


def _counted(
    endpoint: Callable[[PredictRoutes, Request], Awaitable[Response]],
) -> Callable[[PredictRoutes, Request], Awaitable[Response]]:
    """``endpoint`` with its refusals counted by field and rule."""

    @functools.wraps(endpoint)
    async def answer(self: PredictRoutes, request: Request) -> Response:
        try:
            return await endpoint(self, request)
        except Refused as error:
            _count(self.parts(), error.findings)
            raise

    return answer


def _count(parts: ApiParts, findings: Sequence[Finding]) -> None:
    parts.metrics.refused([_Problem(f.field or "", f.rule) for f in findings])


class PredictRoutes:
    """See the module docstring; ``parts`` is asked once per request."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self.parts = parts

    @_counted
    async def predict(self, request: Request) -> Response:
        """One customer, flat or in ``features``; or a list in ``customers``."""
        started = time.perf_counter()
        parts = self.parts()
        media_type(request, JSON)
        body = await read_json(request, parts.settings.max_body_bytes)
        contract = parts.live.state.champion.contract
        if shape_of(body, contract) == "customers":
            batch = batch_in(body, contract)
            return await self._batch(request, batch, parts, started)
        row = customer_in(body, contract)
        return await self._single(request, row, parts, started)

    @_counted
    async def predict_single(self, request: Request) -> Response:
        """One customer, flat or in ``features``."""
        started = time.perf_counter()
        parts = self.parts()
        media_type(request, JSON)
        body = await read_json(request, parts.settings.max_body_bytes)
        row = customer_in(body, parts.live.state.champion.contract)
        return await self._single(request, row, parts, started)

    @_counted
    async def predict_batch(self, request: Request) -> Response:
        """A list in ``customers``, or a CSV file as the body or as the file of a form."""
        started = time.perf_counter()
        parts = self.parts()
        kind = media_type(request, JSON, CSV, MULTIPART)
        body = await read_body(request, parts.settings.max_body_bytes)
        contract = parts.live.state.champion.contract
        if kind == MULTIPART:
            body = await _uploaded(request, body)
        if kind == JSON:
            batch = batch_in(await object_in(body), contract)
        else:
            batch = await run_in_threadpool(read_csv, body, contract)
        return await self._batch(request, batch, parts, started)

    async def csv_template(self, _: Request) -> Response:
        """A CSV file to fill in."""
        text = template(self.parts().live.state.champion.contract)
        headers = {"content-disposition": 'attachment; filename="customers.csv"'}
        return Response(text, media_type=CSV, headers=headers)

    async def _single(
        self, request: Request, row: Row, parts: ApiParts, started: float
    ) -> Response:
        asked = flag(request, "explain")
        _wants_csv(request)  # one customer is answered with JSON; an odd format is refused
        by_default = parts.settings.explain or parts.live.state.champion.contract.explain_by_default
        question = Question(_path(request), started, by_default if asked is None else asked)
        answer = await run_in_threadpool(parts.answering.one, row, question)
        if isinstance(answer, Refusal):
            known = known_fields(parts.live.state.champion.contract)
            raise Refused(422, [finding(problem, known) for problem in answer.problems])
        return answered(_fields(question)(answer))

    async def _batch(
        self, request: Request, batch: Batch, parts: ApiParts, started: float
    ) -> Response:
        asked = flag(request, "explain")
        if asked is None:
            asked = batch.include_explanations
        explain = parts.settings.explain if asked is None else asked
        question = Question(_path(request), started, explain)
        as_csv = _wants_csv(request)
        contract = parts.live.state.champion.contract

        def whole() -> Response:
            answers = answer_batch(batch, parts, question)
            if not as_csv:
                return answered(answers)
            text = write_csv(batch, answers, contract)
            return Response(text, media_type=CSV, headers=_CSV_HEADERS)

        return await run_in_threadpool(whole)


def answer_batch(batch: Batch, parts: ApiParts, question: Question) -> Answers:
    """Answers about the good rows and errors of the bad ones; blocking.

    Raises:
        Refused: no row is good.
    """
    served = parts.live.state.champion
    errors = [_not_a_row(batch, i) for i, row in enumerate(batch.rows) if not _is_row(batch, i)]
    places = [i for i in range(len(batch.rows)) if _is_row(batch, i)]
    results = parts.answering.many([batch.rows[i] for i in places], question)
    fields = _fields(question)
    known = known_fields(served.contract)
    predictions: list[Prediction] = []
    for index, result in zip(places, results, strict=True):
        if isinstance(result, Answer):
            predictions.append(_row_fields(fields(result), index, batch))
        else:
            errors += [finding(problem, known, index) for problem in result.problems]
    errors.sort(key=lambda error: error.index)  # type: ignore[arg-type,return-value]
    if not predictions:
        raise Refused(422, errors)
    if errors:
        _count(parts, errors)
    return _whole(batch, predictions, errors, question)


def _whole(
    batch: Batch, predictions: list[Prediction], errors: list[Finding], question: Question
) -> Answers:
    milliseconds = round((time.perf_counter() - question.started) * 1000.0, 3)
    return Answers(
        predictions=predictions,
        errors=errors,
        total_customers=len(batch.rows),
        num_answered=len(predictions),
        num_refused=len(batch.rows) - len(predictions),
        processing_time_ms=milliseconds,
        latency_ms=milliseconds,
        model_version=predictions[0].model_version,
        release=predictions[0].release,
        timestamp=time_text(time.time()),
        ignored_columns=list(batch.ignored_columns) if batch.ignored_columns else UNSET,
    )


def _fields(question: Question) -> Callable[[Answer], Prediction]:
    return explained_fields if question.explain else prediction_fields


def _row_fields(fields: Prediction, index: int, batch: Batch) -> Prediction:
    fields.customer_index = index
    if not batch.include_probabilities:
        fields.churn_probability = UNSET
        fields.confidence = UNSET
    return fields


def _is_row(batch: Batch, index: int) -> bool:
    return isinstance(batch.rows[index], dict) and index not in (batch.ragged or ())


def _not_a_row(batch: Batch, index: int) -> Finding:
    ragged = (batch.ragged or {}).get(index)
    if ragged is not None:
        return Finding(message=ragged, rule="ragged_row", index=index)
    return not_a_customer(batch.rows[index], index)


def _path(request: Request) -> str:
    return request.scope["path"].removeprefix(request.scope.get("root_path", "")) or "/"


def _wants_csv(request: Request) -> bool:
    asked = choice(request, "format", {"csv": CSV, "json": JSON})
    if asked is not None:
        return asked == CSV
    accepted = request.headers.get("accept", "")
    return CSV in accepted and JSON not in accepted


async def _uploaded(request: Request, body: bytes) -> bytes:
    """The one file of a form whose whole ``body`` has been read."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(request.headers, stream(), max_files=1, max_fields=20)
        form = await parser.parse()
        try:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    return await value.read()
                if name == "file":
                    return value.encode()
        finally:
            await form.close()
    except (MultiPartException, LookupError, ValueError) as error:
        message = f"the form cannot be read: {getattr(error, 'message', type(error).__name__)}"
        raise refused(422, "unreadable_body", message, limit="one CSV file") from None
    raise refused(422, "missing", "the form has no file; send one CSV file", field="file")
