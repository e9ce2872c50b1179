"""Feedback: what is accepted, what it is joined with, and that it is kept for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedchurn.contract.schema import Contract
from fedchurn.errors import FedchurnError, SourceError
from fedchurn.serving.feedback.entry import read_label
from fedchurn.serving.feedback.reader import newest_feedback
from fedchurn.serving.feedback.settling import settle
from fedchurn.serving.feedback.store import FeedbackReceipt, FeedbackStore
from fedchurn.serving.log.log_lines import line_of
from fedchurn.serving.log.log_reader import ReadCounts, newest
from fedchurn.serving.records import Refusal
from tests.unit.release.releases import CONTRACT
from tests.unit.serving.logged import START_SECONDS, log, record, records

MARK = "00112233445566778899"
STAYED = Contract.model_validate(
    {
        **CONTRACT.model_dump(exclude_unset=True),
        "target": {"column": "Stayed", "positive": "No", "negative": "Yes"},
    }
)
NUMBERED = Contract.model_validate(
    {
        **CONTRACT.model_dump(exclude_unset=True),
        "target": {"column": "State", "positive": "2", "negative": "1"},
    }
)


@pytest.fixture
def store(tmp_path: Path) -> FeedbackStore:
    return FeedbackStore(
        tmp_path / "feedback", tmp_path / "predictions", clock=lambda: START_SECONDS + 100
    )


def kept(found: FeedbackReceipt | Refusal) -> FeedbackReceipt:
    assert isinstance(found, FeedbackReceipt), found
    return found


def refused(found: FeedbackReceipt | Refusal) -> list[tuple[str, str]]:
    assert isinstance(found, Refusal), found
    return [(problem.field, problem.rule) for problem in found.problems]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        *((1, 1), (0, 0), (1.0, 1), (True, 1), (False, 0), ("1", 1), (" yes ", 1), ("No", 0)),
        *(("TRUE", 1), ("false", 0), (2, None), ("churned", None), (None, None), (0.5, None)),
        *((float("nan"), None), ([1], None), ({}, None), ("", None)),
    ],
)
def test_labels(value: object, label: int | None) -> None:
    assert read_label(value, CONTRACT) == label


def test_the_labels_of_the_contract_come_first() -> None:
    assert [read_label(word, STAYED) for word in ("No", "yes", 1, True)] == [1, 0, 1, 1]
    assert [read_label(word, NUMBERED) for word in (2, "1", 1, 0, True)] == [1, 0, 0, 0, 1]


def test_a_prediction_is_found_and_kept_beside_its_label(
    tmp_path: Path, store: FeedbackStore
) -> None:
    log(tmp_path / "predictions", records([1, 2, 3], probability=0.75, prediction=1))
    receipt = kept(store.add(CONTRACT, label="1", prediction_id=f"{MARK}-2"))
    assert receipt == FeedbackReceipt(
        time="2025-10-09T08:55:00.000Z",
        prediction_id=f"{MARK}-2",
        customer_id="C2",
        label=1,
        predicted=1,
        happened_at=None,
        is_known=True,
        message=f"kept, for prediction {MARK}-2",
    )
    (entry,) = newest_feedback(tmp_path / "feedback", 10)
    assert entry.predicted is not None
    assert (entry.predicted.probability, entry.predicted.release) == (
        0.75,
        "shop-1.2.0-0123456789ab",
    )


def test_labels_outlive_the_log_of_their_predictions(tmp_path: Path, store: FeedbackStore) -> None:
    log(tmp_path / "predictions", records([1]))
    store.add(CONTRACT, label=1, prediction_id=f"{MARK}-1")
    for path in (tmp_path / "predictions").iterdir():
        path.unlink()
    ((then, label),) = settle(newest_feedback(tmp_path / "feedback", 10)).labels
    assert (then.prediction_id, then.probability, label) == (f"{MARK}-1", 0.25, 1)


def test_a_prediction_that_another_worker_logs_a_moment_later_is_the_one_that_is_meant(
    tmp_path: Path, store: FeedbackStore
) -> None:
    folder = tmp_path / "predictions"
    log(folder, [record(1, customer_id="7")])
    receipt = kept(store.add(CONTRACT, label=1, customer_id="7"))
    assert receipt.prediction_id == f"{MARK}-1"
    # 2 was answered before the feedback and logged after it; 3 was answered later.
    later = record(3, customer_id="7", time_seconds=START_SECONDS + 101)
    log(folder, [record(2, customer_id="7"), later])
    settled = settle(newest_feedback(tmp_path / "feedback", 10), newest(folder, 10))
    assert [(then.prediction_id, label) for then, label in settled.labels] == [(f"{MARK}-2", 1)]


def test_an_unknown_prediction_is_kept_and_joined_once_it_is_logged(
    tmp_path: Path, store: FeedbackStore
) -> None:
    receipt = kept(store.add(CONTRACT, label=0, prediction_id=f"{MARK}-1", predicted="Yes"))
    assert not receipt.is_known
    assert "unknown yet" in receipt.message
    assert receipt.predicted == 1
    entries = newest_feedback(tmp_path / "feedback", 10)
    assert settle(entries).num_unknown == 1
    log(tmp_path / "predictions", records([1, 2]))
    ((then, label),) = settle(entries, newest(tmp_path / "predictions", 10)).labels
    assert (then.customer_id, label) == ("C1", 0)


class TestByCustomer:
    def test_the_latest_prediction_is_meant(self, tmp_path: Path, store: FeedbackStore) -> None:
        log(tmp_path / "predictions", records([1, 2, 3], customer_id="Zoë"))
        receipt = kept(store.add(CONTRACT, label=1, customer_id="Zoë"))
        assert (receipt.prediction_id, receipt.is_known) == (f"{MARK}-3", True)

    def test_but_none_after_it_happened(self, tmp_path: Path, store: FeedbackStore) -> None:
        day = 86_400_000
        log(tmp_path / "predictions", records([1, day, 2 * day], customer_id="7"))
        for happened_at, number in (
            ("2025-10-09T23:00:00+00:00", 1),
            ("2025-10-10T12:00:00", day),
            ("2025-10-10", day),
        ):
            receipt = kept(store.add(CONTRACT, label=1, customer_id=7, happened_at=happened_at))
            assert receipt.prediction_id == f"{MARK}-{number:x}", happened_at
        assert not kept(
            store.add(CONTRACT, label=1, customer_id=7, happened_at="2020-01-01")
        ).is_known

    def test_joined_when_read(self, tmp_path: Path, store: FeedbackStore) -> None:
        receipt = kept(store.add(CONTRACT, label=1, customer_id="C2"))
        assert receipt.message == "kept; no prediction of this customer is known yet"
        log(tmp_path / "predictions", [record(2), record(100_500, customer_id="C2")])
        entries = newest_feedback(tmp_path / "feedback", 10)
        ((then, _),) = settle(entries, newest(tmp_path / "predictions", 10)).labels
        assert then.prediction_id == f"{MARK}-2"

    def test_another_customer_than_the_predictions(
        self, tmp_path: Path, store: FeedbackStore
    ) -> None:
        log(tmp_path / "predictions", records([1]))
        found = store.add(CONTRACT, label=1, prediction_id=f"{MARK}-1", customer_id="Eve")
        assert refused(found) == [("customer_id", "another_customer")]
        assert "C1" not in str(found)
        kept(store.add(CONTRACT, label=1, prediction_id=f"{MARK}-1", customer_id="C1"))

    def test_half_characters_match_as_they_were_logged(
        self, tmp_path: Path, store: FeedbackStore
    ) -> None:
        log(tmp_path / "predictions", [record(1, customer_id="\ud800")])
        assert kept(store.add(CONTRACT, label=1, customer_id="\ud800")).is_known


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"label": None}, [("label", "missing")]),
        ({"label": "maybe"}, [("label", "not_a_label")]),
        ({"predicted": "maybe"}, [("predicted", "not_a_label")]),
        ({"prediction_id": None}, [("prediction_id", "missing")]),
        ({"prediction_id": 5}, [("prediction_id", "not_an_id")]),
        ({"prediction_id": ""}, [("prediction_id", "not_an_id")]),
        ({"prediction_id": "x" * 65}, [("prediction_id", "not_an_id")]),
        ({"customer_id": {}}, [("customer_id", "not_an_id")]),
        ({"customer_id": True}, [("customer_id", "not_an_id")]),
        ({"happened_at": "yesterday"}, [("happened_at", "not_a_time")]),
        ({"happened_at": 5}, [("happened_at", "not_a_time")]),
        ({"happened_at": "9999-12-31"}, [("happened_at", "not_a_time")]),
        (
            {"label": 7, "happened_at": ""},
            [("label", "not_a_label"), ("happened_at", "not_a_time")],
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_kept(
    tmp_path: Path, store: FeedbackStore, given: dict[str, object], problems: list[tuple[str, str]]
) -> None:
    sent = {"label": 1, "prediction_id": f"{MARK}-1"} | given
    assert refused(store.add(CONTRACT, **sent)) == problems
    assert not (tmp_path / "feedback").exists()


def test_the_last_label_of_a_prediction_counts(tmp_path: Path) -> None:
    now = [START_SECONDS]
    log(tmp_path / "predictions", records([1, 2]))
    stores = [
        FeedbackStore(tmp_path / "feedback", tmp_path / "predictions", clock=lambda: now[0])
        for _ in range(2)
    ]
    for number, label in ((1, 0), (1, 0), (1, 1), (2, 1), (1, 1)):
        now[0] += 1
        stores[number - 1].add(CONTRACT, label=label, prediction_id=f"{MARK}-{number}")
    now[0] += 1
    stores[1].add(CONTRACT, label=1, customer_id="C1")
    settled = settle(newest_feedback(tmp_path / "feedback", 10))
    assert {then.prediction_id[-1]: label for then, label in settled.labels} == {"1": 1, "2": 1}
    assert (settled.num_read, settled.num_duplicates, settled.num_contradictions) == (6, 3, 1)
    assert len(list((tmp_path / "feedback").iterdir())) == 2


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        given = [pool.submit(store.add, CONTRACT, label=1, customer_id=n) for n in range(40)]
    assert all(kept(one.result()).label for one in given)
    counts = ReadCounts()
    found = newest_feedback(tmp_path, 100, counts=counts)
    assert {entry.customer_id for entry in found} == {str(n) for n in range(40)}
    assert counts == ReadCounts(num_files=1, num_torn=0)


def test_files_are_rotated_and_never_deleted(tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path, file_bytes=200)
    for number in range(20):
        store.add(CONTRACT, label=1, prediction_id=f"{MARK}-{number:x}")
    store.close()
    assert len(list(tmp_path.iterdir())) > 5
    assert len(newest_feedback(tmp_path, 100)) == 20
    assert [entry.prediction_id for entry in newest_feedback(tmp_path, 2)] == [
        f"{MARK}-12",
        f"{MARK}-13",
    ]


def test_a_torn_line_is_skipped_and_a_damaged_heading_costs_nothing(tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path)
    for number in (1, 2):
        store.add(CONTRACT, label=1, prediction_id=f"{MARK}-{number}")
    store.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"x" + path.read_bytes()[1:-5])
    counts = ReadCounts()
    assert [e.prediction_id for e in newest_feedback(tmp_path, 9, counts=counts)] == [f"{MARK}-1"]
    assert counts.num_torn == 1


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "feedback-x.jsonl").write_bytes(line_of({"format": "fedchurn-feedback-9"}))
    with pytest.raises(SourceError, match="fedchurn-feedback-9"):
        newest_feedback(tmp_path, 1)


def test_what_the_disk_does_not_take_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("")
    store = FeedbackStore(tmp_path / "place")
    with pytest.raises(FedchurnError, match="not kept"):
        store.add(CONTRACT, label=1, customer_id="C1")
    (tmp_path / "place").unlink()
    kept(store.add(CONTRACT, label=1, customer_id="C1"))
    assert len(newest_feedback(tmp_path / "place", 9)) == 1


def test_a_log_that_cannot_be_read_does_not_cost_the_label(
    tmp_path: Path, store: FeedbackStore
) -> None:
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "predictions-x.jsonl").write_bytes(line_of({"format": "new"}))
    assert not kept(store.add(CONTRACT, label=1, customer_id="C1")).is_known
    assert len(newest_feedback(tmp_path / "feedback", 9)) == 1
