"""Reading the prediction log: every record once, none that was not written, newest first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.errors import SourceError
from fedchurn.serving.log.log_lines import FORMAT, line_of, sealed, unsealed
from fedchurn.serving.log.log_reader import (
    ReadCounts,
    blocks_backward,
    lines_forward,
    newest,
    read_after,
    read_predictions,
)
from fedchurn.serving.log.prediction_log import PredictionLog
from tests.unit.serving.logged import START_SECONDS, log, numbers, record, records

TEXT = st.text(max_size=20)
NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.tuples(NUMBER, NUMBER, st.none() | TEXT, st.none() | TEXT)


@given(
    rows=st.lists(
        st.tuples(VALUES, st.none() | TEXT, st.floats(0, 1)),
        min_size=1,
        max_size=5,
    )
)
def test_values_come_back_as_they_were(
    rows: list[tuple[tuple[object, ...], str | None, float]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log(
        folder,
        [
            record(number, values=values, customer_id=customer, probability=probability)
            for number, (values, customer, probability) in enumerate(rows)
        ],
    )
    found = [(p.values, p.customer_id, p.probability) for p in read_predictions(folder)]
    assert found == rows
    assert [str(values) for values, _, _ in found] == [str(values) for values, _, _ in rows]


def test_a_missing_number_is_missing_however_it_is_spelled(tmp_path: Path) -> None:
    log(tmp_path, [record(1, values=(float("nan"), 1.0, "Phone", "Graz"))])
    (found,) = read_predictions(tmp_path)
    assert found.row()["Tenure"] is None


@given(st.binary(max_size=80))
def test_a_seal_opens_to_what_was_sealed(body: bytes) -> None:
    line = sealed(body)
    assert line.endswith(b"]\n")
    assert unsealed(line[:-1]) == body


@given(st.binary(max_size=80))
def test_no_other_bytes_have_a_seal(line: bytes) -> None:
    found = unsealed(line)
    assert found is None or unsealed(sealed(found)[:-1]) == found


def test_a_file_cut_anywhere_gives_its_whole_lines(tmp_path: Path) -> None:
    source, cut = tmp_path / "source", tmp_path / "cut"
    cut.mkdir()
    log(source, records([1, 2, 3]))
    (path,) = source.iterdir()
    content = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for length in range(len(content) + 1):
        (cut / path.name).write_bytes(content[:length])
        whole = [1, 2, 3][: max(0, sum(end <= length for end in ends) - 1)]
        is_torn = length not in (0, *ends)
        for read in (
            lambda counts: list(read_predictions(cut, counts=counts)),
            lambda counts: newest(cut, 10, counts=counts),
            lambda counts: read_after(cut, counts=counts)[0],
        ):
            counts = ReadCounts()
            assert numbers(read(counts)) == whole, length
            assert counts.num_torn == is_torn, length


@given(place=st.integers(0, 10_000), mask=st.integers(1, 255))
def test_a_changed_byte_never_makes_a_record_that_was_not_written(
    place: int, mask: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log(folder, records([1, 2, 3]))
    written = list(read_predictions(folder))
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= mask
    path.write_bytes(content)
    for read in (
        lambda c: list(read_predictions(folder, counts=c)),
        lambda c: newest(folder, 9, counts=c),
    ):
        counts = ReadCounts()
        found = read(counts)
        assert counts.num_torn >= 1
        assert len(found) < 3
        assert all(one in written for one in found)


def test_zeros_after_a_loss_of_power_are_skipped(tmp_path: Path) -> None:
    log(tmp_path, records([1, 2]))
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(bytes(4096))
    counts = ReadCounts()
    assert numbers(read_predictions(tmp_path, counts=counts)) == [1, 2]
    assert numbers(newest(tmp_path, 9)) == [1, 2]
    assert counts.num_torn == 1


def test_an_unknown_format_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions-20260101T000000.000000Z-1-aa-000001.jsonl"
    path.write_bytes(line_of({"format": "fedchurn-predictions-9"}))
    for read in (lambda: list(read_predictions(tmp_path)), lambda: newest(tmp_path, 1)):
        with pytest.raises(SourceError, match="fedchurn-predictions-9") as caught:
            read()
        assert caught.value.where == str(path)
        assert FORMAT in caught.value.what


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert list(read_predictions(tmp_path / "none")) == []
    assert newest(tmp_path / "none", 5) == []
    assert read_after(tmp_path / "none") == ([], {})


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=9),
    tail=st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")),
    num_bytes=st.integers(1, 100),
)
def test_lines_are_whole_whatever_is_read_at_a_time(
    lines: list[bytes], tail: bytes, num_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + tail)
    with path.open("rb") as file:
        counts = ReadCounts()
        forward = list(lines_forward(file.fileno(), 0, counts, num_bytes))
        assert counts.num_torn == bool(tail)
        backward = list(blocks_backward(file.fileno(), 0, counts, num_bytes))
        assert counts.num_torn == 2 * bool(tail)
    assert [line for line, _ in forward] == lines
    assert [line for _, block in reversed(backward) for line in block.split(b"\n")] == lines
    content = path.read_bytes()
    for line, end in forward:
        assert content[:end].endswith(line + b"\n")
    for start, block in backward:
        assert content[start:].startswith(block + b"\n")


@pytest.fixture
def three_workers(tmp_path: Path) -> Path:
    """A hundred predictions that three workers took turns to answer; two of them still write."""
    workers = [PredictionLog(tmp_path, file_bytes=4096) for _ in range(3)]
    for number in range(100):
        workers[number % 3].take(records([number]))
    workers[0].close()
    return tmp_path


class TestSeveralWorkers:
    def test_all_are_merged_by_time(self, three_workers: Path) -> None:
        assert numbers(read_predictions(three_workers)) == list(range(100))

    def test_since_a_time(self, three_workers: Path) -> None:
        found = read_predictions(three_workers, since_seconds=START_SECONDS + 0.090)
        assert numbers(found) == list(range(91, 100))

    @pytest.mark.parametrize("num_rows", [0, 1, 7, 99, 100, 200])
    def test_the_newest(self, three_workers: Path, num_rows: int) -> None:
        assert numbers(newest(three_workers, num_rows)) == list(range(100))[100 - num_rows :]

    def test_after_a_watermark_each_comes_once(self, three_workers: Path) -> None:
        seen: list[int] = []
        watermark: dict[str, int] | None = None
        for _ in range(20):
            found, watermark = read_after(three_workers, watermark, max_rows=7)
            assert len(found) <= 7
            seen += numbers(found)
        late = PredictionLog(three_workers)
        late.take(records([3]))  # answered long ago, written now
        found, watermark = read_after(three_workers, watermark)
        assert numbers(found) == [3]
        assert sorted(seen) == list(range(100))
        assert read_after(three_workers, watermark) == ([], watermark)
        late.close()


def test_old_files_are_not_looked_into_for_the_newest(tmp_path: Path) -> None:
    for hour in range(5):
        log(tmp_path, records(range(hour * 3_600_000, hour * 3_600_000 + 10)))
        (path,) = [p for p in tmp_path.iterdir() if p.stat().st_mtime > START_SECONDS + 1e6]
        os.utime(path, (START_SECONDS + hour * 3600 + 1, START_SECONDS + hour * 3600 + 1))
    counts = ReadCounts()
    assert numbers(newest(tmp_path, 15, counts=counts))[-1] == 4 * 3_600_000 + 9
    assert counts.num_files == 2
    counts = ReadCounts()
    since = START_SECONDS + 3 * 3600
    assert len(list(read_predictions(tmp_path, since_seconds=since, counts=counts))) == 19
    assert counts.num_files == 2


def test_files_of_dead_workers_are_opened_when_their_time_comes(tmp_path: Path) -> None:
    for number in range(50):
        log(tmp_path, records([number * 10_000]))
    reading = read_predictions(tmp_path, counts=(counts := ReadCounts()))
    next(reading)
    assert counts.num_files == 1
    assert len(list(reading)) == 49


def test_only_one_contract(tmp_path: Path) -> None:
    log(tmp_path, records([1]))
    assert numbers(read_predictions(tmp_path, contract="shop")) == [1]
    assert list(read_predictions(tmp_path, contract="telco")) == []
    assert newest(tmp_path, 1, contract="telco") == []


def test_a_reader_goes_along_with_a_writer(tmp_path: Path) -> None:
    one = PredictionLog(tmp_path)
    one.take(records([1]))
    reading = read_predictions(tmp_path)
    assert numbers([next(reading)]) == [1]
    one.take(records([2]))
    one.close()
    assert numbers(read_predictions(tmp_path)) == [1, 2]
