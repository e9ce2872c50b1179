"""Records reach every sink once and in order, and a broken or slow sink hurts nobody else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.recorder import Recorder
from fedchurn.serving.records import PredictionRecord


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.is_closed = False

    def take(self, records: Sequence[PredictionRecord]) -> None:
        self.taken += records

    def close(self) -> None:
        self.is_closed = True


class Broken(Kept):
    def take(self, records: Sequence[PredictionRecord]) -> None:
        raise ValueError("could not convert 'Ada Lovelace'")

    def close(self) -> None:
        raise ValueError("could not close the file of 'Ada Lovelace'")


class Hanging(Kept):
    """A disk that does not come back while ``is_away`` is held."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = threading.Lock()
        self.is_reached = threading.Event()

    def take(self, records: Sequence[PredictionRecord]) -> None:
        self.is_reached.set()
        with self.is_away:
            super().take(records)


def record(number: int) -> PredictionRecord:
    return cast(PredictionRecord, number)  # sinks above look at nothing inside


def test_everything_reaches_every_sink_in_order() -> None:
    first, second = Kept(), Kept()
    recorder = Recorder([first, second])
    for number in range(10):
        recorder.record(record(number))
    recorder.flush()
    recorder.record(record(10))
    recorder.flush()
    assert first.taken == second.taken == list(range(11))


def test_a_broken_sink_is_told_of_and_the_next_one_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = Kept()
    recorder = Recorder([Broken(), kept])
    recorder.record(record(1))
    with caplog.at_level(logging.ERROR):
        recorder.flush()
    assert kept.taken == [1]
    assert "Broken has lost 1 records so far: ValueError in take" in caplog.text


def test_a_broken_sink_is_told_of_once_and_quotes_no_row(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder([Broken()])
    for number in range(100):
        recorder.record(record(number))
        recorder.flush()
    assert len(caplog.records) == 1
    assert "Ada" not in caplog.text


def test_a_sink_that_cannot_be_closed_leaves_none_open(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    Recorder([Broken(), kept]).stop()
    assert kept.is_closed
    assert "Broken was not closed" in caplog.text
    assert "Ada" not in caplog.text


def test_who_asks_for_a_flush_does_not_wait_for_a_disk_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fedchurn.serving.recorder._WAIT_SECONDS", 0.01)
    hanging = Hanging()
    recorder = Recorder([hanging])
    recorder.record(record(1))
    with hanging.is_away:
        first = threading.Thread(target=recorder.flush)
        first.start()
        hanging.is_reached.wait()
        recorder.record(record(2))
        recorder.flush()  # comes back
        assert hanging.taken == []
    first.join()
    recorder.flush()
    assert hanging.taken == [1, 2]


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    kept = Kept()
    recorder = Recorder([kept], max_pending=3)
    for number in range(5):
        recorder.record(record(number))
    recorder.flush()
    assert kept.taken == [0, 1, 2]
    assert recorder.num_dropped == 2


def test_stopping_flushes_and_closes() -> None:
    kept = Kept()
    recorder = Recorder([kept], interval_seconds=3600)
    recorder.start()
    recorder.record(record(1))
    recorder.stop()
    assert kept.taken == [1]
    assert kept.is_closed


def test_records_arrive_by_themselves_while_threads_write() -> None:
    kept = Kept()
    recorder = Recorder([kept], interval_seconds=0.001)
    recorder.start()
    threads = [
        threading.Thread(target=lambda t=t: [recorder.record(record(t)) for _ in range(500)])
        for t in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 10
    while len(kept.taken) < 2000 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert sorted(kept.taken) == sorted([0, 1, 2, 3] * 500)
    recorder.stop()
    assert len(kept.taken) == 2000


def test_ids_never_repeat() -> None:
    here, elsewhere = PredictionIds(), PredictionIds()
    ids = [source.new() for source in (here, elsewhere) for _ in range(1000)]
    assert len(set(ids)) == 2000
