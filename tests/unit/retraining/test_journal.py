"""The journal of retraining: chained, whole after a kill, and a story when it is read."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from fedchurn.errors import BusyError, RetrainingError
from fedchurn.retraining.drain import Facts, drain
from fedchurn.retraining.entry import OUTCOME, RUN, STARTED, RetrainEntry
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.journal import RetrainJournal
from fedchurn.retraining.policy import RetrainPolicy
from tests.unit.retraining.events import at, drift, situation

RELEASE = "shop-1.0.0-bbbbbbbbbbbb"


class Retraining:
    """An inbox and a journal, and what drains the one into the other."""

    def __init__(self, folder: Path) -> None:
        self.inbox = TriggerInbox(folder / "inbox")
        self.journal = RetrainJournal(folder / "journal.jsonl")

    def drain(self, hours: float = 0.0, rows: str = "", **facts: Any) -> list[str]:
        now = situation(**{"time": at(hours), **facts})
        told = Facts(now, rows, "anna")
        stories = drain("shop", self.inbox, self.journal, told, RetrainPolicy())
        return [str(s.decision.facts["outcome"]) for s in stories if s.decision is not None]

    def tell(self, kind: str, **facts: Any) -> None:
        (story,) = self.journal.history().open_runs
        told = {"run_key": story.run_key, **facts}
        self.journal.append(RetrainEntry(kind, at(1), "anna", told))

    def train(self) -> None:
        """All that follows a decision."""
        self.tell(RUN, place="here", data={})
        self.tell(STARTED, flow_run_id="id-1", flow_run_name="brave-crab")
        self.tell(OUTCOME, outcome="promoted", release_id=RELEASE, version="4", summary="Better.")


@pytest.fixture
def retraining(tmp_path: Path) -> Retraining:
    return Retraining(tmp_path / "retraining")


def test_a_new_journal_is_empty(retraining: Retraining) -> None:
    history = retraining.journal.history()
    assert history.stories == ()
    assert history.chain_of("w1") == ()
    assert not retraining.journal.path.exists()


def test_of_many_triggers_at_once_one_leads_to_a_retrain(retraining: Retraining) -> None:
    for number in range(5):
        retraining.inbox.add(drift(number, time=at(number)))
    assert retraining.drain() == ["retrain", "skip", "skip", "skip", "skip"]
    assert retraining.inbox.pending() == ()
    skipped = retraining.journal.history().stories[1].decision
    assert skipped is not None
    assert "A retrain was decided just now (Tenure drifted)" in skipped.facts["summary"]
    assert retraining.drain() == []


def test_the_chain_from_a_window_to_a_release(retraining: Retraining) -> None:
    retraining.inbox.add(drift(1))
    retraining.inbox.add(drift(2))
    retraining.drain()
    retraining.train()
    names = ("w1", "window-1", RELEASE, RELEASE[:8], "4", "v4", "id-1", "brave-crab")
    for name in names:
        (story,) = retraining.journal.chain_of(name)
        kinds = [entry.kind for entry in story.entries]
        assert kinds == ["trigger", "decision", "run", "started", "outcome"], name
    (other,) = retraining.journal.chain_of("w2")
    assert [entry.kind for entry in other.entries] == ["trigger", "decision"]
    assert retraining.journal.chain_of("nobody") == retraining.journal.chain_of("") == ()


def test_an_open_run_stops_others_until_its_outcome_is_known(retraining: Retraining) -> None:
    retraining.inbox.add(drift(1))
    retraining.drain()
    retraining.inbox.add(drift(2))
    assert retraining.drain(hours=100) == ["skip"]
    assert len(retraining.journal.history().open_runs) == 1
    retraining.train()
    assert retraining.journal.history().open_runs == ()
    retraining.inbox.add(drift(3))
    assert retraining.drain(hours=200) == ["retrain"]


def test_an_event_that_led_to_a_retrain_does_not_lead_to_another(retraining: Retraining) -> None:
    retraining.inbox.add(drift(1))
    retraining.drain()
    retraining.train()
    again = TriggerInbox(retraining.inbox.folder, repeat_hours=0)
    for hours in (200, 400):
        assert again.add(drift(1))
        assert retraining.drain(hours=hours) == ["skip"]
    assert len(retraining.journal.chain_of("w1")) == 3


def test_rows_that_came_back_are_found_again(retraining: Retraining) -> None:
    assert retraining.journal.history().rows_folder_name() == ""
    for number, rows in enumerate(["returned-a", "returned-b", ""]):
        retraining.inbox.add(drift(number))
        retraining.drain(rows=rows)
    assert retraining.journal.history().rows_folder_name() == "returned-b"


@pytest.mark.parametrize("keep", [1, 40, 400])
def test_a_torn_last_line_does_not_count_and_is_decided_again(
    retraining: Retraining, keep: int
) -> None:
    retraining.inbox.add(drift(1))
    (arrival,) = retraining.inbox.folder.glob("*.json")
    content = arrival.read_bytes()
    retraining.drain()
    trigger, decision = retraining.journal.path.read_bytes().splitlines(keepends=True)
    retraining.journal.path.write_bytes(trigger + decision[:keep])
    arrival.write_bytes(content)  # the drain was killed before it put the trigger away
    (story,) = retraining.journal.history().stories
    assert story.decision is None
    assert retraining.drain() == ["retrain"]
    (story,) = retraining.journal.history().stories
    assert [entry.kind for entry in story.entries] == ["trigger", "decision"]
    assert len(retraining.journal.path.read_bytes().splitlines()) == 2


def test_a_decision_is_not_made_twice_when_putting_away_failed(retraining: Retraining) -> None:
    retraining.inbox.add(drift(1))
    (arrival,) = retraining.inbox.folder.glob("*.json")
    content = arrival.read_bytes()
    retraining.drain()
    arrival.write_bytes(content)
    assert retraining.drain() == []
    assert retraining.inbox.pending() == ()


@pytest.mark.parametrize("attack", ["edit", "remove", "swap"])
def test_an_altered_line_is_noticed(retraining: Retraining, attack: str) -> None:
    for number in (1, 2):
        retraining.inbox.add(drift(number))
        retraining.drain()
    lines = retraining.journal.path.read_bytes().splitlines()
    edited = json.loads(lines[1])
    edited["entry"]["facts"]["outcome"] = "skip"
    changed = {
        "edit": [lines[0], json.dumps(edited).encode(), *lines[2:]],
        "remove": [lines[0], *lines[2:]],
        "swap": [lines[0], lines[2], lines[1], lines[3]],
    }[attack]
    retraining.journal.path.write_bytes(b"\n".join(changed) + b"\n")
    with pytest.raises(RetrainingError, match="line 2 of the journal is altered"):
        retraining.journal.history()
    retraining.inbox.add(drift(3))
    with pytest.raises(RetrainingError, match="line 2"):
        retraining.drain()
    assert len(retraining.inbox.pending()) == 1


def test_a_writer_who_takes_too_long(retraining: Retraining) -> None:
    other = RetrainJournal(retraining.journal.path, lock_seconds=0.01)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with retraining.journal.lock():
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        with pytest.raises(BusyError, match="decision about retraining"), other.lock():
            pass
    finally:
        done.set()
        thread.join()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(RetrainingError, match="unknown kind"):
        RetrainEntry("dream", at(0), "anna", {})
