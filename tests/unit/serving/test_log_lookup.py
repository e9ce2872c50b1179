"""Single predictions are found by id and by customer, wherever they stand in the log."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fedchurn.serving.log.log_lookup import PredictionFinder
from fedchurn.serving.log.prediction_log import PredictionLog
from tests.unit.serving.logged import START_SECONDS, log, record, records

MARK = "00112233445566778899"


def _found(finder: PredictionFinder, number: int, mark: str = MARK) -> str | None:
    found = finder.by_id(f"{mark}-{number:x}")
    return found.customer_id if found else None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """3000 predictions, in files of some 300 and not quite in the order of their ids."""
    one = PredictionLog(tmp_path, file_bytes=2**16)
    taken = records(range(1, 3001))
    shuffle = random.Random(7)
    for start in range(0, 3000, 20):
        part = taken[start : start + 20]
        shuffle.shuffle(part)
        taken[start : start + 20] = part
    for start in range(0, 3000, 130):
        one.take(taken[start : start + 130])
    one.close()
    return tmp_path


def test_every_id_is_found(folder: Path) -> None:
    assert len(list(folder.iterdir())) > 5
    finder = PredictionFinder(folder)
    assert all(_found(finder, number) == f"C{number}" for number in range(1, 3001, 7))


def test_every_id_is_found_in_one_large_file(tmp_path: Path) -> None:
    log(tmp_path, records(range(1, 3001)))
    assert len(list(tmp_path.iterdir())) == 1
    finder = PredictionFinder(tmp_path)
    assert all(_found(finder, number) == f"C{number}" for number in range(1, 3001, 7))


@pytest.mark.parametrize(
    "prediction_id",
    [f"{MARK}-0", f"{MARK}-fffff", f"{MARK}-", "", "x", '"', f"{MARK}-1\n", f"{'a' * 20}-1"],
)
def test_other_ids_are_not_found(folder: Path, prediction_id: str) -> None:
    assert PredictionFinder(folder).by_id(prediction_id) is None


def test_workers_are_told_apart(tmp_path: Path) -> None:
    other = "ff112233445566778899"
    log(tmp_path, records([1, 2, 3]))
    log(tmp_path, [record(2, prediction_id=f"{other}-2", customer_id="other")])
    finder = PredictionFinder(tmp_path)
    assert _found(finder, 2) == "C2"
    assert _found(finder, 2, other) == "other"
    assert _found(finder, 3, other) is None


def test_what_is_logged_later_is_found_later(tmp_path: Path) -> None:
    finder = PredictionFinder(tmp_path)
    assert _found(finder, 1) is None
    one = PredictionLog(tmp_path)
    one.take(records([1]))
    assert _found(finder, 1) == "C1"
    one.take(records([2]))
    assert _found(finder, 2) == "C2"
    one.close()


def test_a_damaged_line_in_the_way_does_not_matter(tmp_path: Path) -> None:
    log(tmp_path, records(range(1, 1001)))
    (path,) = tmp_path.iterdir()
    lines = path.read_bytes().split(b"\n")
    for place in range(400, 600):
        lines[place] = lines[place][:-1]
    path.write_bytes(b"\n".join(lines))
    finder = PredictionFinder(tmp_path)
    found = [number for number in range(1, 1001) if _found(finder, number)]
    assert found == [*range(1, 400), *range(600, 1001)]


class TestLatestOfACustomer:
    def test_the_latest_until_then(self, tmp_path: Path) -> None:
        log(tmp_path, records([1, 2, 3], customer_id="Zoë"))
        log(tmp_path, records([4, 5], customer_id="Zo"))
        log(tmp_path, records([6], customer_id="Zoë"))
        finder = PredictionFinder(tmp_path)

        def latest(customer_id: str, milliseconds: float) -> str | None:
            before = START_SECONDS + milliseconds / 1000
            found = finder.latest_of(customer_id, before_seconds=before)
            return found.prediction_id[-1] if found else None

        assert [latest("Zoë", moment) for moment in (0, 1, 2.5, 5.5, 6, 99)] == [
            *(None, "1", "2", "3", "6", "6"),
        ]
        assert latest("Zo", 99) == "5"
        assert latest("Z", 99) is None

    def test_a_name_that_stands_elsewhere_in_a_line_is_no_customer(self, tmp_path: Path) -> None:
        log(tmp_path, [record(1), record(2, values=(1.0, 1.0, "Phone", "C1"))])
        found = PredictionFinder(tmp_path).latest_of("C1", before_seconds=START_SECONDS + 9)
        assert found is not None
        assert found.prediction_id == f"{MARK}-1"

    def test_no_more_is_read_than_asked(self, tmp_path: Path) -> None:
        log(tmp_path, [record(1), *records(range(2, 5000), customer_id=None)])
        finder = PredictionFinder(tmp_path)
        assert finder.latest_of("C1", before_seconds=START_SECONDS + 9) is not None
        assert finder.latest_of("C1", before_seconds=START_SECONDS + 9, max_bytes=1000) is None
