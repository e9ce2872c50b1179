"""The short way for plain rows: no framework between the request's bytes and the answer's.

Whatever it does not fully understand gives None, and the request goes the long way, which has
every feature and all the words. Both ways answer with the same fields.
"""

from __future__ import annotations

import logging
import math
import time

import msgspec

from bentos.churn.api.answers import prediction_fields
from fedchurn.serving.answering import customer_text
from fedchurn.serving.fallback.switch_log import place
from fedchurn.serving.live import Live, Serving
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.rare_message import RareMessage
from fedchurn.serving.recorder import Recorder
from fedchurn.serving.records import Answer, PredictionRecord
from fedchurn.serving.tracing.tracing import NoTracing, Tracing

logger = logging.getLogger("bentoml.churn.fast_lane")

MAX_BODY_BYTES = 65_536  # a plain row is far smaller
_encode = msgspec.json.Encoder().encode


class FastLane:
    """Answers the bodies of plain rows; a few microseconds, never blocking.

    Args:
        live: what answers.
        recorder: where answers are recorded.
        ids: of predictions.
        tracing: may want the long way for a request.
        explain: every answer is to be explained, so the lane stays closed.
    """

    def __init__(
        self,
        live: Live,
        recorder: Recorder,
        ids: PredictionIds,
        tracing: Tracing,
        explain: bool = False,
    ) -> None:
        self._live = live
        self._record = recorder.record
        self._new_id = ids.new
        self._is_due = None if isinstance(tracing, NoTracing) else tracing.due
        self._explain = explain
        self._failures = RareMessage()

    def answer(self, body: bytes, endpoint: str, started: float) -> bytes | None:
        """The JSON answer to ``body``, or None when the long way must be taken.

        Args:
            body: the whole request body.
            endpoint: route that was called.
            started: ``time.perf_counter()`` when the request came.
        """
        state = self._live.state
        served = state.champion
        if len(body) > MAX_BODY_BYTES or self._is_closed(state):
            return None
        try:
            found = served.quick.score(body)
        except Exception as error:  # a defect of the tables; the long way does without them
            if num_rows := self._failures.add():  # its message may quote the row
                told = "%d rows could not be scored the short way: %s"
                logger.error(told, num_rows, place(error))
            return None
        if found is None or not math.isfinite(found.probability):
            return None
        # Asked last: what goes the long way in any case is drawn for there.
        if self._is_due is not None and self._is_due():
            return None
        record = PredictionRecord(
            time.time(),
            self._new_id(),
            customer_text(found.customer_id),
            found.values,
            found.probability,
            int(found.probability >= served.threshold),
            served.band(found.probability).name,
            served.role,
            None,
            served,
            time.perf_counter() - started,
            (),
            endpoint,
            True,
        )
        self._record(record)
        return _encode(prediction_fields(Answer(record)))

    def _is_closed(self, state: Serving) -> bool:
        return (
            state.champion_fault is not None
            or (state.ab_fraction > 0 and state.challenger is not None)
            or self._explain
            or state.champion.release.contract.explain_by_default
        )
