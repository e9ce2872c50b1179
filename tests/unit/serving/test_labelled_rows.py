"""Labels join the rows that were scored: once, when they are mature, the last word counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.contract.schema import Contract
from fedchurn.serving.feedback.client_and_value import client_of, value_of
from fedchurn.serving.feedback.entry import FeedbackEntry, PredictedThen
from fedchurn.serving.feedback.labelled_rows import labelled_rows, settled_labels
from fedchurn.serving.feedback.reader import newest_feedback, read_feedback
from fedchurn.serving.feedback.settling import settle
from fedchurn.serving.feedback.store import FeedbackStore
from fedchurn.serving.log.log_lines import LoggedPrediction
from tests.unit.release.releases import CONTRACT
from tests.unit.serving.logged import START_SECONDS, log, record, records, served

MARK = "00112233445566778899"
DAY = 86_400.0
SHOPS = Contract.model_validate(
    {
        **CONTRACT.model_dump(exclude_unset=True),
        "silo_column": "Device",
        "value_column": "Cashback",
    }
)
Label = Callable[..., None]


@pytest.fixture
def label(tmp_path: Path) -> Label:
    """Sends feedback ``days`` after the start."""
    now = [0.0]
    store = FeedbackStore(tmp_path / "feedback", tmp_path / "predictions", clock=lambda: now[0])

    def send(label: int, *, days: float = 40.0, **ids: str) -> None:
        now[0] = START_SECONDS + days * DAY
        store.add(SHOPS, label=label, **ids)

    return send


def rows(folder: Path, *, mature_days: float = 100.0, **given: float) -> list[tuple[str, int]]:
    """Last digit of each prediction id, and its label."""
    found = labelled_rows(
        folder / "predictions",
        folder / "feedback",
        SHOPS,
        mature_before_seconds=START_SECONDS + mature_days * DAY,
        **given,
    )
    return [(row.prediction.prediction_id[-1], row.label) for row in found]


def test_a_row_comes_back_with_its_label(tmp_path: Path, label: Label) -> None:
    log(tmp_path / "predictions", records([1, 2], served=served(SHOPS)))
    label(1, prediction_id=f"{MARK}-2")
    (row,) = labelled_rows(
        tmp_path / "predictions",
        tmp_path / "feedback",
        SHOPS,
        mature_before_seconds=START_SECONDS + 10,
    )
    assert row.values == {"Tenure": 12.0, "Cashback": 159.93, "Device": "Phone", "City": "Graz"}
    assert (row.label, row.client, row.customer_id) == (1, "Device=Phone", "C2")
    assert row.prediction_seconds == START_SECONDS + 0.002
    assert row.label_seconds == START_SECONDS + 40 * DAY
    assert (row.prediction.value, row.prediction.probability) == (159.93, 0.25)


def test_only_predictions_that_are_old_enough_count_whenever_their_label_came(
    tmp_path: Path, label: Label
) -> None:
    days = [START_SECONDS + day * DAY for day in (0, 10, 20)]
    taken = [record(n, time_seconds=at, served=served(SHOPS)) for n, at in enumerate(days)]
    log(tmp_path / "predictions", taken)
    for number in range(3):
        label(number % 2, days=21, prediction_id=f"{MARK}-{number}")
    assert rows(tmp_path) == [("0", 0), ("1", 1), ("2", 0)]
    assert rows(tmp_path, mature_days=10) == [("0", 0), ("1", 1)]
    assert rows(tmp_path, mature_days=10, since_seconds=days[0]) == [("1", 1)]
    assert rows(tmp_path, since_seconds=days[2]) == []


def test_a_prediction_counts_once_with_what_was_said_last(tmp_path: Path, label: Label) -> None:
    log(tmp_path / "predictions", records([1, 2], served=served(SHOPS)))
    label(1, days=40, prediction_id=f"{MARK}-1")
    label(1, days=41, customer_id="C2")
    label(0, days=42, customer_id="C1")
    assert rows(tmp_path) == [("1", 0), ("2", 1)]


def test_labels_that_came_before_their_prediction_was_logged_are_joined(
    tmp_path: Path, label: Label
) -> None:
    label(1, prediction_id=f"{MARK}-1")
    label(0, customer_id="C2")
    log(tmp_path / "predictions", records([1, 2, 3], served=served(SHOPS)))
    assert rows(tmp_path) == [("1", 1), ("2", 0)]


def test_without_its_row_a_label_is_known_and_no_row(tmp_path: Path, label: Label) -> None:
    log(tmp_path / "predictions", records([1], served=served(SHOPS)))
    label(1, prediction_id=f"{MARK}-1")
    for path in (tmp_path / "predictions").iterdir():
        path.unlink()
    assert rows(tmp_path) == []
    settled = settled_labels(tmp_path / "predictions", tmp_path / "feedback", SHOPS)
    ((then, found),) = settled.labels
    assert (found, then.value, then.client) == (1, 159.93, "Device=Phone")


def test_rows_of_other_contracts_are_passed_over(tmp_path: Path, label: Label) -> None:
    other = SHOPS.model_copy(update={"contract": "other"})
    log(tmp_path / "predictions", records([1], served=served(other)))
    label(1, customer_id="C1")
    assert rows(tmp_path) == []


def test_no_folders_hold_nothing(tmp_path: Path) -> None:
    assert rows(tmp_path) == []


def test_what_was_contradicted_is_named(tmp_path: Path, label: Label) -> None:
    log(tmp_path / "predictions", records(range(30), served=served(SHOPS)))
    for said in (0, 1, 1):
        for number in range(25):
            label(said, prediction_id=f"{MARK}-{number:x}")
    settled = settled_labels(tmp_path / "predictions", tmp_path / "feedback", SHOPS)
    assert (settled.num_contradictions, settled.num_duplicates) == (25, 25)
    assert settled.contradicted == tuple(f"{MARK}-{number:x}" for number in range(5, 25))


def test_feedback_is_read_by_time_from_both_ends(tmp_path: Path) -> None:
    now = [START_SECONDS]
    stores = [FeedbackStore(tmp_path, clock=lambda: now[0]) for _ in range(2)]
    for number in range(9):
        now[0] += 1
        stores[number % 2].add(CONTRACT, label=1, customer_id=f"C{number}")
    customers = [entry.customer_id for entry in read_feedback(tmp_path)]
    assert customers == [f"C{number}" for number in range(9)]
    assert customers == [entry.customer_id for entry in newest_feedback(tmp_path, 99)]
    later = read_feedback(tmp_path, since_seconds=START_SECONDS + 7)
    assert [entry.customer_id for entry in later] == ["C7", "C8"]


def test_files_of_earlier_versions_have_no_client_and_no_value() -> None:
    then = PredictedThen(1.0, "a-1", None, "shop-1", None, "champion", "champion", 0.5, 1, "High")
    plain = json.loads(msgspec.json.encode(then))
    for name in ("value", "client"):
        del plain[name]
    assert msgspec.convert(plain, PredictedThen) == then


@pytest.mark.parametrize(
    ("row", "client"),
    [
        ({"Tier": "1"}, "Tier=1"),
        ({"Tier": 1.0}, "Tier=1"),
        ({"Tier": 2.5}, "Tier=2.5"),
        ({"Tier": None}, "Tier=(missing)"),
        ({}, None),
    ],
)
def test_clients_are_called_as_in_training(row: dict[str, object], client: str | None) -> None:
    contract = CONTRACT.model_copy(update={"silo_column": "Tier"})
    assert client_of(row, contract) == client
    assert client_of(row, CONTRACT) is None


@pytest.mark.parametrize(
    ("row", "value"),
    [({"Pay": 3}, 3.0), ({"Pay": None}, None), ({}, None), ({"Pay": float("nan")}, None)],
)
def test_values(row: dict[str, object], value: float | None) -> None:
    contract = CONTRACT.model_copy(update={"value_column": "Pay"})
    assert value_of(row, contract) == value
    assert value_of(row, CONTRACT) is None


def _logged(number: int, customer: int) -> LoggedPrediction:
    return LoggedPrediction(
        *(float(number), f"p-{number}", f"C{customer}", "shop-1", None, "champion", "champion"),
        *(None, 0.5, 1, "High", 0.0, "/predict", (), ()),
    )


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 2), max_size=8),
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 1), st.integers(0, 9)),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_the_join_is_what_looking_at_everything_gives(
    customers: list[int], said: list[tuple[bool, int, int, int]], random: object
) -> None:
    """Whatever the order of the log, an entry means its id, or the latest before it happened."""
    logged = [_logged(number, customer) for number, customer in enumerate(customers)]
    entries = [
        FeedbackEntry(
            time_seconds=20.0 + place,
            prediction_id=f"p-{which}" if by_id else None,
            customer_id=None if by_id else f"C{which % 3}",
            label=label,
            happened_at=None,
            until_seconds=float(until),
            said=None,
        )
        for place, (by_id, which, label, until) in enumerate(said)
    ]
    expected: dict[str, int] = {}
    for entry in entries:
        if entry.prediction_id is not None:
            fitting = [one for one in logged if one.prediction_id == entry.prediction_id]
        else:
            of_customer = [one for one in logged if one.customer_id == entry.customer_id]
            fitting = [one for one in of_customer if one.time_seconds <= entry.until_seconds]
        if fitting:
            expected[fitting[-1].prediction_id] = entry.label
    shuffled = list(logged)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    settled = settle(entries, shuffled)
    assert {then.prediction_id: label for then, label in settled.labels} == expected
    told = settled.num_unknown + settled.num_duplicates + settled.num_contradictions
    assert told + len(expected) == len(entries)
