"""The prediction log: what is written where, what is left out, and what a bad disk does."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from fedchurn.contract.schema import Contract
from fedchurn.errors import SettingsError
from fedchurn.serving.log.log_files import is_open
from fedchurn.serving.log.log_reader import newest, read_predictions
from fedchurn.serving.log.prediction_log import PredictionLog, check_masked_fields
from tests.unit.release.releases import CONTRACT
from tests.unit.serving.logged import (
    SERVED,
    START_SECONDS,
    VALUES,
    log,
    numbers,
    record,
    records,
    served,
)

WITH_ID = Contract.model_validate(
    {**CONTRACT.model_dump(exclude_unset=True), "id": {"column": "CustomerID"}}
)


def _sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.glob("*.jsonl")]


def test_what_was_answered_comes_back(tmp_path: Path) -> None:
    log(
        tmp_path,
        [
            record(
                7,
                values=(None, -0.5, "Phone", 'Zürich 😀 " \\ \n \u2028'),
                fallback_reason="timeout",
                model_used="rules",
                warnings=(("Tenure", "usual_range"),),
                probability=0.1 + 0.2,
            )
        ],
    )
    (found,) = read_predictions(tmp_path)
    assert found.row() == {
        "Tenure": None,
        "Cashback": -0.5,
        "Device": "Phone",
        "City": 'Zürich 😀 " \\ \n \u2028',
    }
    assert found.time_seconds == START_SECONDS + 0.007
    assert (found.prediction_id, found.customer_id) == ("00112233445566778899-7", "C7")
    assert (found.release, found.model_version) == ("shop-1.2.0-0123456789ab", "3")
    assert (found.role, found.model_used, found.fallback_reason) == ("champion", "rules", "timeout")
    assert (found.probability, found.prediction, found.risk_level) == (0.1 + 0.2, 0, "Low")
    assert (found.latency_seconds, found.endpoint) == (0.0001, "/predict")
    assert found.warnings == (("Tenure", "usual_range"),)
    assert found.schema is not None
    assert (found.schema.contract, found.schema.contract_version) == ("shop", "1.2.0")


def test_a_file_is_json_lines_that_explain_themselves(tmp_path: Path) -> None:
    log(tmp_path, records([1, 2]))
    (path,) = tmp_path.iterdir()
    header, first, second = [json.loads(line)[0] for line in path.read_text().splitlines()]
    assert dict(zip(header["fields"], first, strict=True))["prediction_id"].endswith("-1")
    assert dict(zip(header["columns"], second[-1], strict=True))["City"] == "Graz"


def test_text_that_no_file_can_hold_is_spelled_out(tmp_path: Path) -> None:
    log(tmp_path, [record(1, customer_id="\ud800"), record(2)])
    assert [p.customer_id for p in read_predictions(tmp_path)] == ["\\ud800", "C2"]


@pytest.mark.parametrize("name", ["customer_id", "CustomerID"])
def test_masked_fields_reach_no_disk(tmp_path: Path, name: str) -> None:
    shop = served(WITH_ID)
    log(
        tmp_path,
        [record(1, customer_id="Jane Doe", served=shop)],
        masked_fields=("City", "Device", name),
    )
    (path,) = tmp_path.iterdir()
    for secret in ("Jane", "Graz", "Phone"):
        assert secret not in path.read_text()
    (found,) = read_predictions(tmp_path)
    assert found.row() == {"Tenure": 12.0, "Cashback": 159.93}
    assert found.customer_id is None
    assert found.schema is not None
    assert found.schema.masked == ("Device", "City", "customer_id")


def test_every_column_can_be_masked_or_all_but_one(tmp_path: Path) -> None:
    log(tmp_path, records([1]), masked_fields=tuple(CONTRACT.columns))
    log(tmp_path, records([2]), masked_fields=("Tenure", "Cashback", "Device"))
    assert [p.row() for p in read_predictions(tmp_path)] == [{}, {"City": "Graz"}]


def test_a_misspelt_mask_is_refused() -> None:
    check_masked_fields(("City", "customer_id", "CustomerID"), WITH_ID)
    with pytest.raises(SettingsError, match="did you mean 'City'"):
        check_masked_fields(("Citty",), CONTRACT)
    with pytest.raises(SettingsError, match="CustomerID"):
        check_masked_fields(("CustomerID",), CONTRACT)


def test_releases_of_one_contract_share_a_file(tmp_path: Path) -> None:
    other = served(release_id="shop-1.2.0-ffffffffffff", role="challenger", version=None)
    log(tmp_path, [record(1), record(2, served=other), record(3)])
    assert len(list(tmp_path.iterdir())) == 1
    found = list(read_predictions(tmp_path))
    assert [(p.role, p.model_version) for p in found] == [
        ("champion", "3"),
        ("challenger", None),
        ("champion", "3"),
    ]
    assert found[1].release == "shop-1.2.0-ffffffffffff"


def test_other_columns_begin_another_file(tmp_path: Path) -> None:
    fewer = CONTRACT.model_copy(
        update={"columns": {"City": CONTRACT.columns["City"]}, "derived": {}, "version": "2.0.0"}
    )
    new = served(fewer)
    one = PredictionLog(tmp_path)
    one.take([record(1), record(2, served=new, values=("Linz",)), record(3)])
    one.take([record(4), record(5, served=new, values=("Wels",))])
    assert len(list(tmp_path.iterdir())) == 2
    one.close()
    found = list(read_predictions(tmp_path))
    assert numbers(found) == [1, 2, 3, 4, 5]
    assert found[1].row() == {"City": "Linz"}


def test_many_layouts_keep_few_files_open(tmp_path: Path) -> None:
    one = PredictionLog(tmp_path)
    for number in range(1, 6):
        contract = CONTRACT.model_copy(update={"version": f"{number}.0.0"})
        one.take([record(number, served=served(contract))])
    assert sum(is_open(path) for path in tmp_path.iterdir()) == 2
    one.close()
    assert numbers(read_predictions(tmp_path)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("values", [("Linz",), (1.0, object(), "Phone", "Linz")])
def test_values_that_do_not_fit_take_no_others_with_them(
    tmp_path: Path, values: tuple[Any, ...]
) -> None:
    one = PredictionLog(tmp_path)
    one.take([record(1, values=values), record(2)])
    one.close()
    assert one.num_dropped_by_reason == {"unfit": 1}
    assert numbers(read_predictions(tmp_path)) == [2]


class TestSize:
    def test_files_end_before_they_are_too_large(self, tmp_path: Path) -> None:
        log(tmp_path, records(range(1, 101)), file_bytes=4096)
        assert len(_sizes(tmp_path)) > 3
        assert max(_sizes(tmp_path)) <= 4096
        assert numbers(read_predictions(tmp_path)) == list(range(1, 101))

    def test_names_sort_by_time(self, tmp_path: Path) -> None:
        for number in (300, 20, 1000):
            log(tmp_path, records([number]))
        bodies = [json.loads(p.read_text().splitlines()[1])[0] for p in sorted(tmp_path.iterdir())]
        assert [body[2] for body in bodies] == ["C20", "C300", "C1000"]

    def test_the_oldest_files_make_room(self, tmp_path: Path) -> None:
        one = PredictionLog(tmp_path, file_bytes=4096, total_bytes=16_384)
        for start in range(0, 1000, 10):
            one.take(records(range(start, start + 10)))
            assert sum(_sizes(tmp_path)) <= 16_384
        one.close()
        kept = numbers(read_predictions(tmp_path))
        assert kept == list(range(kept[0], 1000))
        assert len(kept) > 20
        assert one.num_deleted_files > 0
        assert one.num_dropped == 0

    def test_files_of_a_clock_that_was_ahead_go_first(self, tmp_path: Path) -> None:
        ahead = tmp_path / "predictions-20990101T000000.000000Z-1-0000abcd-000001.jsonl"
        ahead.write_bytes(b"x" * 4000)
        one = PredictionLog(tmp_path, file_bytes=4096, total_bytes=16_384)
        one.take(records(range(200)))
        one.close()
        assert one.num_deleted_files > 0
        assert not ahead.exists()

    def test_all_workers_share_one_bound_and_spare_open_files(self, tmp_path: Path) -> None:
        log(tmp_path, records(range(5)), file_bytes=4096)  # a worker that is gone
        idle, busy = (
            PredictionLog(tmp_path, file_bytes=4096, total_bytes=16_384) for _ in range(2)
        )
        idle.take(records([5]))
        for start in range(10, 1000, 10):
            busy.take(records(range(start, start + 10)))
            assert sum(_sizes(tmp_path)) <= 16_384
        idle.take(records([1000]))
        kept = numbers(read_predictions(tmp_path))
        assert kept[0] == 5
        assert kept[-1] == 1000
        assert set(range(5)).isdisjoint(kept)
        idle.close()
        busy.close()

    def test_a_total_below_two_files_still_holds(self, tmp_path: Path) -> None:
        log(tmp_path, records(range(200)), file_bytes=2**20, total_bytes=8192)
        assert sum(_sizes(tmp_path)) <= 8192
        assert numbers(newest(tmp_path, 1)) == [199]


class TestTrouble:
    def test_a_folder_that_cannot_be_is_counted_and_told_once_a_minute(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        now = [0.0]
        (tmp_path / "place").write_text("a file where a folder should be")
        one = PredictionLog(tmp_path / "place" / "log", clock=lambda: now[0])
        for _ in range(3):
            one.take(records([1, 2]))
        now[0] = 61.0
        one.take(records([3]))
        assert one.num_dropped_by_reason == {"not_writable": 7}
        assert one.num_dropped == 7
        assert [entry.getMessage()[:2] for entry in caplog.records] == ["2 ", "5 "]

    def test_it_goes_on_when_the_folder_can_be_written(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "bentoml.churn.log")
        (tmp_path / "place").write_text("")
        one = PredictionLog(tmp_path / "place")
        one.take(records([1]))
        (tmp_path / "place").unlink()
        one.take(records([2]))
        one.take(records([3]))
        one.close()
        assert numbers(read_predictions(tmp_path / "place")) == [2, 3]
        assert one.num_written == 2
        assert ["again" in entry.getMessage() for entry in caplog.records] == [False, True]

    def test_a_deleted_file_is_begun_again(self, tmp_path: Path) -> None:
        one = PredictionLog(tmp_path / "log")
        one.take(records([1]))
        for path in (tmp_path / "log").iterdir():
            path.unlink()
        (tmp_path / "log").rmdir()
        one.take(records([2]))
        one.close()
        assert numbers(read_predictions(tmp_path / "log")) == [2]

    def test_what_a_worker_left_while_it_began_a_file_is_cleared_away(self, tmp_path: Path) -> None:
        left = tmp_path / ".new-predictions-x.jsonl"
        left.write_bytes(b"")
        log(tmp_path, records([1]))
        assert left.exists()  # it may be another worker's, just now
        os.utime(left, (START_SECONDS, START_SECONDS))
        log(tmp_path, records([2]))
        assert not left.exists()


def test_no_predictions_make_no_file(tmp_path: Path) -> None:
    log(tmp_path / "log", [])
    assert not (tmp_path / "log").exists()


def test_a_worker_that_ended_holds_no_file(tmp_path: Path) -> None:
    one = PredictionLog(tmp_path)
    one.take([record(1, served=SERVED, values=VALUES)])
    (path,) = tmp_path.iterdir()
    assert is_open(path)
    with path.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    one.close()
    assert not is_open(path)
