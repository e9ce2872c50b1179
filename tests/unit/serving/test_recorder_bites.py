"""When many records wait, the recorder does not let them grow into one long piece of work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from fedchurn.serving.recorder import Recorder
from fedchurn.serving.records import PredictionRecord

NEVER_SECONDS = 3600.0


class Bites:
    """A sink that keeps how much it was given at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def take(self, records: Sequence[PredictionRecord]) -> None:
        self.sizes.append(len(records))

    def close(self) -> None:
        """Nothing to do."""


def _started(sink: Bites) -> Recorder:
    recorder = Recorder([sink], interval_seconds=NEVER_SECONDS)
    recorder.start()
    return recorder


def _record(recorder: Recorder, num_records: int) -> None:
    for number in range(num_records):
        recorder.record(cast(Any, number))


def test_many_records_do_not_wait_for_the_interval() -> None:
    sink = Bites()
    recorder = _started(sink)
    _record(recorder, 1000)
    end = time.monotonic() + 30
    while sum(sink.sizes) < 1000 and time.monotonic() < end:
        time.sleep(0.005)
    assert sum(sink.sizes) == 1000
    recorder.stop()


def test_few_records_wait_for_the_interval() -> None:
    sink = Bites()
    recorder = _started(sink)
    _record(recorder, 3)
    time.sleep(0.1)
    assert sink.sizes == []
    recorder.stop()
    assert sink.sizes == [3]
