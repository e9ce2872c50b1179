"""Records of predictions on their way from the request to metrics, log and experiments.

A request only appends to a list; a thread hands what has gathered to the sinks, some times a
second. So a slow disk slows no answer, and counters cost nothing per request.

While the thread works, requests wait for the interpreter's lock: many records at once would make
the slowest percent of answers slow. So when there is much to do, it is done in smaller bites.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from fedchurn.serving.fallback.switch_log import place
from fedchurn.serving.rare_message import RareMessage
from fedchurn.serving.records import PredictionRecord

logger = logging.getLogger("bentoml.churn.recorder")

_WAIT_SECONDS = 0.5  # for another flush; a disk that hangs must not collect callers of /health
_STOP_SECONDS = 10.0

_BITE_RECORDS = 200  # about a millisecond of work
_LOOK_SECONDS = 0.01


class Sink(Protocol):
    """Takes records; called by one thread at a time, never by a request."""

    def take(self, records: Sequence[PredictionRecord]) -> None:
        """Deal with n records (n may be 0) in the order in which they were made."""

    def close(self) -> None:
        """Nothing comes after this."""


class Recorder:
    """Gathers records and hands them to sinks every ``interval_seconds``, or when many wait.

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
        self._failures = {id(sink): RareMessage() for sink in self._sinks}
        self._num_lost = dict.fromkeys(self._failures, 0)
        self.num_dropped = 0

    def record(self, record: PredictionRecord) -> None:
        """Take one record; some tenths of a microsecond."""
        pending = self._pending
        if len(pending) < self._max_pending:
            pending.append(record)
        else:
            self.num_dropped += 1

    def flush(self) -> None:
        """Hand everything that waits to the sinks, now and in this thread.

        While another thread's flush hangs in a sink, this gives up after half a second.
        """
        if not self._flushing.acquire(timeout=_WAIT_SECONDS):
            return
        try:
            # Cut by length: a record that arrives meanwhile stays for the next flush.
            pending = self._pending
            taken = pending[:]
            del pending[: len(taken)]
            for sink in self._sinks:
                self._hand_over(sink, taken)
        finally:
            self._flushing.release()

    def start(self) -> None:
        """Flush regularly, until ``stop``."""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Flush a last time and close the sinks; a sink that hangs is left behind."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
        self.flush()
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:  # the others have something to close as well
                logger.error("%s was not closed: %s", type(sink).__name__, place(error))

    def _run(self) -> None:
        due_seconds = time.monotonic() + self._interval_seconds
        while not self._stopping.wait(min(_LOOK_SECONDS, self._interval_seconds)):
            if len(self._pending) >= _BITE_RECORDS or time.monotonic() >= due_seconds:
                self.flush()
                due_seconds = time.monotonic() + self._interval_seconds

    def _hand_over(self, sink: Sink, records: Sequence[PredictionRecord]) -> None:
        try:
            sink.take(records)
        except Exception as error:  # a broken sink must not stop the others, nor the next flush
            self._num_lost[id(sink)] += len(records)
            if self._failures[id(sink)].add():
                # Never the error's message, which may quote a customer's row.
                name, num_lost = type(sink).__name__, self._num_lost[id(sink)]
                logger.error("%s has lost %d records so far: %s", name, num_lost, place(error))
