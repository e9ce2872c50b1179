"""The challenger in the shadow: it scores a share of the answered rows, and nobody hears of it.

It works in the recorder's thread, after the answers have left, in small batches so that requests
get their turn in between. Its errors are counted and otherwise ignored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np

from fedchurn.serving.experiment.experiment import Experiment
from fedchurn.serving.experiment.shares import share_of
from fedchurn.serving.fallback.switch_log import place
from fedchurn.serving.live import Live
from fedchurn.serving.records import CHAMPION, PredictionRecord
from fedchurn.serving.reload.events import NoEvents, ServingEvents
from fedchurn.serving.served_release import ServedRelease

logger = logging.getLogger("bentoml.churn.experiment")

_BATCH_ROWS = 128  # half a millisecond of work between two turns of the requests
_MAX_ROWS = 2048  # of one hand-over; what is more is skipped and counted


class ShadowSink:
    """Compares the champion's answers with the challenger's; a sink of records."""

    def __init__(
        self, live: Live, experiment: Experiment, events: ServingEvents | None = None
    ) -> None:
        self._live = live
        self._experiment = experiment
        self._events = events or NoEvents()
        self._blamed: ServedRelease | None = None

    def take(self, records: Sequence[PredictionRecord]) -> None:
        """Let the challenger score its share of the records that the champion itself answered."""
        state = self._live.state
        challenger, fraction = state.challenger, state.shadow_fraction
        if challenger is None or not fraction:
            return
        chosen = [
            record
            for record in records
            if record.model_used == CHAMPION
            and record.served is state.champion
            and share_of(b"shadow", record.prediction_id) < fraction
        ]
        if len(chosen) > _MAX_ROWS:
            self._add(state.champion, challenger, num_skipped=len(chosen) - _MAX_ROWS)
        for start in range(0, min(len(chosen), _MAX_ROWS), _BATCH_ROWS):
            end = min(start + _BATCH_ROWS, _MAX_ROWS)
            self._compare(state.champion, challenger, chosen[start:end])
            time.sleep(0)  # lets go of the interpreter

    def close(self) -> None:
        """Nothing is held open."""

    def _compare(
        self,
        champion: ServedRelease,
        challenger: ServedRelease,
        records: Sequence[PredictionRecord],
    ) -> None:
        names = list(champion.contract.columns)
        rows = [dict(zip(names, record.values, strict=True)) for record in records]
        try:
            theirs = challenger.model.many(rows)
            if not np.isfinite(theirs).all():
                raise ArithmeticError("a probability is not finite")
        except Exception as error:  # a challenger may be broken; that is what a shadow is for
            self._fail(champion, challenger, len(records), error)
            return
        ours = np.array([record.probability for record in records])
        decided = np.array([record.prediction for record in records])
        differ = int(np.sum((theirs >= challenger.threshold) != decided))
        difference = np.abs(theirs - ours)
        total, largest = float(difference.sum()), float(difference.max())
        self._add(
            champion,
            challenger,
            num_compared=len(records),
            num_decisions_differ=differ,
            difference_sum=total,
            difference_largest=largest,
        )
        self._events.shadow_compared(difference.tolist(), differ)

    def _fail(
        self, champion: ServedRelease, challenger: ServedRelease, num_rows: int, error: Exception
    ) -> None:
        self._add(champion, challenger, num_failed=num_rows)
        self._events.shadow_failed(num_rows)
        if self._blamed is not challenger:  # once per challenger, not four times a second
            self._blamed = challenger
            logger.error("challenger %s cannot score: %s", challenger.release_id, place(error))

    def _add(self, champion: ServedRelease, challenger: ServedRelease, **added: float) -> None:
        self._experiment.add_shadow(champion.release_id, challenger.release_id, **added)
