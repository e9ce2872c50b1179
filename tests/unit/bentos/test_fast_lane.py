"""The fast lane by itself: what it leaves to the long way, and what it says when it fails."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import pytest

from bentos.churn.lane.fast_lane import FastLane
from fedchurn.serving.live import Live, Serving
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.quick_row import QuickScorer
from fedchurn.serving.recorder import Recorder
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.tracing.tracing import NO_SPAN, NoTracing, Span, Tracing
from tests.unit.serving.predictions import served
from tests.unit.serving.served import ROW


class Drawing:
    """Tracing that draws what it is told, and nothing twice."""

    def __init__(self, draws: Iterable[bool]) -> None:
        self._draws = iter(draws)

    def request(self) -> Span:
        return NO_SPAN

    def close(self, timeout_seconds: float = 2.0) -> None: ...

    def due(self) -> bool:
        return next(self._draws)


class BrokenTables:
    def score(self, body: bytes) -> None:
        raise RuntimeError(f"cannot score {body!r}")


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> ServedRelease:
    return served(tmp_path_factory.mktemp("releases"))


def lane(champion: ServedRelease, tracing: Tracing | None = None) -> FastLane:
    live = Live(Serving(champion))
    return FastLane(live, Recorder([]), PredictionIds(), tracing or NoTracing())


def ask(asked: FastLane, **changes: Any) -> bytes | None:
    body = json.dumps({**ROW, **changes}).encode()
    return asked.answer(body, "/predict", time.perf_counter())


def test_a_row_is_drawn_for_once_whichever_way_it_takes(champion: ServedRelease) -> None:
    drawn = lane(champion, Drawing([True, False]))
    assert ask(drawn, Tenure="3") is None  # the long way draws for it
    assert ask(drawn) is None  # due, so it is traced on the long way
    assert ask(drawn, Tenure=-1) is None
    assert ask(drawn) is not None


def test_a_defect_of_the_tables_is_told_once_and_quotes_no_row(
    champion: ServedRelease, caplog: pytest.LogCaptureFixture
) -> None:
    broken = lane(replace(champion, quick=cast(QuickScorer, BrokenTables())))
    with caplog.at_level(logging.ERROR):
        assert [ask(broken) for _ in range(50)] == [None] * 50
    assert len(caplog.records) == 1
    assert "RuntimeError in score" in caplog.text
    assert "Castrop" not in caplog.text
