"""Records of predictions on their way from the request to metrics, log and experiments.

A request only appends to a list; a thread hands what has gathered to the sinks, some times a
second. So a slow disk slows no answer, and counters cost nothing per request.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from fedchurn.serving.records import PredictionRecord

logger = logging.getLogger("bentoml.churn.recorder")


class Sink(Protocol):
    """Takes records; called by one thread at a time, never by a request."""

    def take(self, records: Sequence[PredictionRecord]) -> None:
        """Deal with n records (n may be 0) in the order in which they were made."""

    def close(self) -> None:
        """Nothing comes after this."""


class Recorder:
    """Gathers records and hands them to sinks every ``interval_seconds``.

    ``record`` is safe from any thread. More than ``max_pending`` records that wait (the sinks are
    too slow) are dropped, newest first, and counted in ``num_dropped``.
    """

    def __init__(
        self, sinks: Sequence[Sink], *, interval_seconds: float = 0.25, max_pending: int = 200_000
    ) -> None:
        self._sinks = tuple(sinks)
        self._interval_seconds = interval_seconds
        self._max_pending = max_pending
        self._pending: list[PredictionRecord] = []
        self._flushing = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.num_dropped = 0

    def record(self, record: PredictionRecord) -> None:
        """Take one record; some tenths of a microsecond."""
        pending = self._pending
        if len(pending) < self._max_pending:
            pending.append(record)
        else:
            self.num_dropped += 1

    def flush(self) -> None:
        """Hand everything that waits to the sinks, now and in this thread."""
        with self._flushing:
            # Cut by length: a record that arrives meanwhile stays for the next flush.
            pending = self._pending
            taken = pending[:]
            del pending[: len(taken)]
            for sink in self._sinks:
                self._hand_over(sink, taken)

    def start(self) -> None:
        """Flush regularly, until ``stop``."""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Flush a last time and close the sinks."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()
        for sink in self._sinks:
            sink.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_seconds):
            self.flush()

    def _hand_over(self, sink: Sink, records: Sequence[PredictionRecord]) -> None:
        try:
            sink.take(records)
        except Exception:  # a broken sink must not stop the others, nor the next flush
            logger.exception("%s lost %d records", type(sink).__name__, len(records))
