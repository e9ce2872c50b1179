"""The prediction log of real processes that are killed, and on a real disk that fills up."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fedchurn.errors import FedchurnError
from fedchurn.serving.feedback.reader import newest_feedback
from fedchurn.serving.feedback.store import FeedbackStore
from fedchurn.serving.log.log_files import is_open
from fedchurn.serving.log.log_reader import ReadCounts, newest, read_after, read_predictions
from fedchurn.serving.log.prediction_log import PredictionLog
from tests.e2e.small_disks import small_disk
from tests.unit.release.releases import CONTRACT
from tests.unit.serving.logged import VALUES, log, numbers, record, records

pytestmark = pytest.mark.e2e

WORKER = """
import sys, itertools
from pathlib import Path
from fedchurn.serving.log.prediction_log import PredictionLog
from tests.unit.serving.logged import records

log = PredictionLog(Path(sys.argv[1]), file_bytes=2**20, total_bytes=2**30)
for start in itertools.count(0, 500):
    log.take(records(range(start, start + 500)))
    print(start + 499, flush=True)
"""


@pytest.mark.parametrize("num_flushes", [1, 7, 30])
def test_a_killed_worker_loses_only_what_it_had_not_handed_over(
    tmp_path: Path, num_flushes: int
) -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=-1) as worker:
        assert worker.stdout is not None
        for _ in range(num_flushes):
            flushed = int(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
        rest = worker.stdout.read().split(b"\n")[:-1]
    assert worker.returncode == -signal.SIGKILL
    flushed = int(rest[-1]) if rest else flushed
    counts = ReadCounts()
    found = numbers(read_predictions(tmp_path, counts=counts))
    assert found == list(range(len(found)))
    assert len(found) > flushed
    assert counts.num_torn <= 1
    assert numbers(newest(tmp_path, 1)) == [found[-1]]
    assert not any(is_open(path) for path in tmp_path.glob("*.jsonl"))


def test_files_of_a_killed_worker_make_room_for_others(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=-1) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        log(tmp_path, records([1]), file_bytes=4096, total_bytes=16_384)
        assert any(path.name.split("-")[2] == str(worker.pid) for path in tmp_path.glob("pred*"))
        worker.kill()
        worker.stdout.read()
    log(tmp_path, records([2]), file_bytes=4096, total_bytes=16_384)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 16_384


def test_a_full_disk_costs_predictions_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=256k") as disk:
        filler = disk / "filler"
        one = PredictionLog(disk / "log")
        one.take(records(range(100)))
        filler.write_bytes(bytes(150_000))
        seen, watermark = read_after(disk / "log")
        for start in range(100, 3000, 100):
            one.take(records(range(start, start + 100)))
            found, watermark = read_after(disk / "log", watermark)
            seen += found
        dropped = one.num_dropped_by_reason["disk_full"]
        assert 0 < dropped == one.num_dropped
        before = list(read_predictions(disk / "log", counts=(counts := ReadCounts())))
        assert len(before) == 3000 - dropped
        assert len(before) % 100  # what found room was kept
        assert counts.num_torn == 0
        filler.unlink()
        one.take(records(range(3000, 3100)))
        one.close()
        found = list(read_predictions(disk / "log", counts=(counts := ReadCounts())))
        assert numbers(found) == [*numbers(before), *range(3000, 3100)]
        assert numbers([*seen, *read_after(disk / "log", watermark)[0]]) == numbers(found)
        assert counts.num_torn == 0
        assert one.num_dropped == dropped


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        one = PredictionLog(disk / "log")
        one.take([record(1)])
        assert one.num_dropped_by_reason == {"disk_full": 1}
        assert [path for path in disk.rglob("*") if path.is_file()] == [filler]
        filler.unlink()
        one.take([record(2)])
        one.close()
        assert numbers(read_predictions(disk / "log")) == [2]


WRITER = """
import sys
from pathlib import Path
from fedchurn.serving.log.prediction_log import PredictionLog
from tests.unit.serving.logged import records

mark = sys.argv[2] * 20
log = PredictionLog(Path(sys.argv[1]), file_bytes=16_384, total_bytes=131_072)
for start in range(0, 5_000, 50):
    taken = records(range(start, start + 50))
    log.take([one._replace(prediction_id=f"{mark}-{one.customer_id}") for one in taken])
log.close()
sys.exit(log.num_dropped)
"""


def test_several_workers_share_a_bound_while_others_read(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), mark]) for mark in "abc"
    ]
    looks = 0
    while any(worker.poll() is None for worker in workers) or looks == 0:
        sizes = [_size(path) for path in tmp_path.glob("*.jsonl")]
        assert sum(sizes) <= 131_072
        for found in (*newest(tmp_path, 50), *read_predictions(tmp_path)):
            mark, customer = found.prediction_id.split("-")
            assert mark in {20 * letter for letter in "abc"}
            assert customer == found.customer_id
            assert found.values == VALUES
        looks += 1
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    counts = ReadCounts()
    for mark in "abc":
        kept = [p for p in read_predictions(tmp_path, counts=counts) if p.prediction_id[0] == mark]
        customers = [int(p.customer_id[1:]) for p in kept if p.customer_id]
        assert customers == sorted(customers)
    assert counts.num_torn == 0
    assert sum(_size(path) for path in tmp_path.iterdir()) <= 131_072


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_feedback_that_a_full_disk_does_not_take_is_not_claimed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        store = FeedbackStore(disk / "feedback")
        store.add(CONTRACT, label=1, customer_id="C1")
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        num_kept = 1 + _fill(store)
        with pytest.raises(FedchurnError, match="not kept: No space left"):
            store.add(CONTRACT, label=1, customer_id="C1")
        filler.unlink()
        store.add(CONTRACT, label=0, customer_id="C1")
        store.close()
        counts = ReadCounts()
        entries = newest_feedback(disk / "feedback", 10_000, counts=counts)
        assert [entry.label for entry in entries] == [*[1] * num_kept, 0]
        assert counts.num_torn == 0


def _fill(store: FeedbackStore) -> int:
    """Add feedback until the disk takes no more: what is left of the file's last block."""
    num_kept = 0
    while True:
        try:
            store.add(CONTRACT, label=1, customer_id="C1")
        except FedchurnError:
            return num_kept
        num_kept += 1
