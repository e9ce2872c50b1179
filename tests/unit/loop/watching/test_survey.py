"""Which part of the log a window is, and which predictions count."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.loop.watching.survey import Watched, counted, survey
from fedchurn.serving.log.log_reader import read_range
from fedchurn.serving.log.prediction_log import PredictionLog
from tests.unit.serving.logged import log, numbers, record, records, served

WATCHED = Watched("shop", "shop-1.2.0-0123456789ab")


def _positions(folder: Path, places: int) -> dict[str, int]:
    """A watermark behind the first predictions of each file."""
    found: dict[str, int] = {}
    num = Counter[str]()
    for _, file, end in read_range(folder):
        num[file] += 1
        if num[file] <= places:
            found[file] = end
    return found


def test_a_range_is_read_again_exactly(tmp_path: Path) -> None:
    for begin in (0, 100):
        log(tmp_path, records(range(begin, begin + 10)))
    start, end = _positions(tmp_path, 3), _positions(tmp_path, 7)
    found = [line.prediction for line in read_range(tmp_path, start, end)]
    assert numbers(found) == [3, 4, 5, 6, 103, 104, 105, 106]
    log(tmp_path, records([200]))  # comes later, so it is of no range before
    assert [line.prediction for line in read_range(tmp_path, start, end)] == found
    assert numbers(line.prediction for line in read_range(tmp_path, end)) == [
        *(7, 8, 9),
        *(107, 108, 109),
        200,
    ]


def test_each_customer_counts_once_by_the_newest_prediction(tmp_path: Path) -> None:
    log(tmp_path, [record(number, customer_id=f"C{number % 3}") for number in range(9)])
    log(tmp_path, [record(number, customer_id=None) for number in (20, 21)])
    found = survey(tmp_path, WATCHED, max_rows=100)
    assert (found.num_rows, found.num_customers) == (11, 5)
    assert numbers(counted(tmp_path, WATCHED, found)) == [6, 7, 8, 20, 21]


def test_newest_is_by_time_and_not_by_place(tmp_path: Path) -> None:
    late, early = record(50, customer_id="C1"), record(1, customer_id="C1")
    log(tmp_path, [late])
    log(tmp_path, [early])  # another worker's file; names sort by time
    found = survey(tmp_path, WATCHED, max_rows=100)
    assert numbers(counted(tmp_path, WATCHED, found)) == [50]


def test_other_predictions_are_counted_and_left_out(tmp_path: Path) -> None:
    log(tmp_path, records(range(4)))
    log(tmp_path, records([10], served=served(release_id="shop-1.2.0-ffffffffffff")))
    log(tmp_path, records([11, 12], served=served(role="challenger")))
    found = survey(tmp_path, WATCHED, max_rows=100)
    assert found.others == {"other_release": 1, "other_role": 2}
    assert numbers(counted(tmp_path, WATCHED, found)) == [0, 1, 2, 3]
    other = survey(tmp_path, Watched("telco", "shop-1.2.0-0123456789ab"), max_rows=100)
    assert (other.num_rows, other.others) == (0, {"other_contract": 7})


def test_a_window_holds_no_more_than_it_may_and_the_rest_follows(tmp_path: Path) -> None:
    log(tmp_path, records(range(7)))
    log(tmp_path, records(range(100, 107)))
    seen: list[int] = []
    start: dict[str, int] = {}
    sizes = []
    while (found := survey(tmp_path, WATCHED, start, max_rows=5)).num_rows:
        seen += numbers(counted(tmp_path, WATCHED, found))
        sizes.append((found.num_rows, found.is_full))
        start |= {file: end for file, (_, end) in found.read.items()}
    assert seen == [*range(7), *range(100, 107)]
    assert sizes == [(5, True), (5, True), (4, False)]


def test_a_file_that_has_gone_meanwhile_is_passed_over(tmp_path: Path) -> None:
    for begin in (0, 100):
        log(tmp_path, records(range(begin, begin + 3)))
    found = survey(tmp_path, WATCHED, max_rows=100)
    sorted(tmp_path.iterdir())[0].unlink()
    assert numbers(counted(tmp_path, WATCHED, found)) == [100, 101, 102]


def test_damaged_lines_are_counted(tmp_path: Path) -> None:
    log(tmp_path, records(range(3)))
    (path,) = tmp_path.iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"Graz", b"Wien")
    path.write_bytes(b"".join(lines))
    found = survey(tmp_path, WATCHED, max_rows=100)
    assert (found.num_rows, found.num_torn) == (2, 1)
    assert numbers(counted(tmp_path, WATCHED, found)) == [0, 2]


@given(
    customers=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=20),
    cut=st.integers(0, 20),
)
def test_customers_are_those_that_a_dictionary_would_keep(
    customers: list[tuple[int, int]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    taken = [
        record(place, customer_id=f"C{customer}", time_seconds=1_760_000_000.0 + second)
        for place, (customer, second) in enumerate(customers)
    ]
    one, two = PredictionLog(folder), PredictionLog(folder)
    for log_, part in ((one, taken[:cut]), (two, taken[cut:])):
        log_.take(part)
        log_.close()
    found = survey(folder, WATCHED, max_rows=1000)
    read = [line.prediction for line in read_range(folder)]
    newest = {p.customer_id: p.prediction_id for p in sorted(read, key=lambda p: p.time_seconds)}
    kept = {p.prediction_id for p in counted(folder, WATCHED, found)}
    assert kept == set(newest.values())
    assert sum(int(np.count_nonzero(places)) for places in found.kept.values()) == len(kept)
