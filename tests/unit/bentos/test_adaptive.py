"""Rows for adaptive batching: BentoML judges them on the event loop, so they are bounded first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import TypeAdapter, ValidationError

from fedchurn.serving.live import Live, Serving
from tests.unit.serving.predictions import served
from tests.unit.serving.served import ROW, answering

# BentoML 1.4 overrides what pydantic 2.11 deprecated; it warns while it is imported.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*__get_pydantic_core_schema__.*:pydantic.warnings.PydanticDeprecatedSince211"
)


@pytest.fixture
def adapter(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> TypeAdapter[Any]:
    from bentos.churn.api import adaptive

    live = Live(Serving(served(tmp_path_factory.mktemp("releases"))))
    monkeypatch.setattr(adaptive, "current_parts", lambda: SimpleNamespace(live=live))
    return TypeAdapter(adaptive.Customers)


def refusals(adapter: TypeAdapter[Any], rows: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(rows)
    return [error["msg"] for error in caught.value.errors()]


def test_a_thousand_good_rows_pass_and_one_more_does_not(adapter: TypeAdapter[Any]) -> None:
    assert len(adapter.validate_python([ROW] * 1000)) == 1000
    told = "1001 customers were sent; accepted: 1 to 1000 rows"
    assert refusals(adapter, [ROW] * 1001) == [told]
    assert refusals(adapter, []) == ["0 customers were sent; accepted: 1 to 1000 rows"]


def test_rows_of_a_list_that_is_too_long_are_not_judged(adapter: TypeAdapter[Any]) -> None:
    assert len(refusals(adapter, [{"x": 1}] * 100_000)) == 1


def test_a_flood_of_unknown_fields_is_refused_at_once(adapter: TypeAdapter[Any]) -> None:
    flood = {f"Tenure {number}": 1 for number in range(10_000)}
    (told,) = refusals(adapter, [flood])
    assert told.startswith("10000 fields are not those of contract 'shop'")


def test_every_bad_row_is_told_and_other_shapes_too(adapter: TypeAdapter[Any]) -> None:
    bad = {**ROW, "Tenure": -1}
    assert len(refusals(adapter, [bad, ROW, bad])) == 2
    assert refusals(adapter, "rows") == ["Input should be a valid list"]
    assert refusals(adapter, [1]) == ["Input should be a valid dictionary"]


def test_answers_are_as_many_as_rows_or_there_are_none(tmp_path: Path) -> None:
    from bentoml.exceptions import ServiceUnavailable

    from bentos.churn.api.adaptive import adaptive_answers

    parts = cast(Any, SimpleNamespace(answering=answering(tmp_path)))
    assert len(adaptive_answers(parts, [ROW, ROW], 0.0)) == 2
    with pytest.raises(ServiceUnavailable):
        adaptive_answers(parts, [ROW, {**ROW, "Tenure": -1}, ROW], 0.0)
