"""The journal in short is what the journal says, read on from where it was."""

from __future__ import annotations

from pathlib import Path

from fedchurn.retraining.checks import Check
from fedchurn.retraining.decision import RetrainDecision
from fedchurn.retraining.entry import DECISION, OUTCOME, TRIGGER, RetrainEntry
from fedchurn.retraining.journal import RetrainJournal
from fedchurn.retraining.journal_watch import JournalWatch

TIME = "2026-03-01T12:00:00+00:00"


def decision(outcome: str, run_key: str = "") -> RetrainEntry:
    checks = (
        Check("cooldown", outcome == "retrain", 1.0, 24.0, "The last retrain was 1 hour ago."),
        Check("budget", False, 3.0, 2.0, "The budget is spent.", overridden=True),
    )
    decided = RetrainDecision(outcome, checks, "event", "release")  # type: ignore[arg-type]
    facts = {**decided.to_dict(), "arrival": "1", "run_key": run_key, "rows": ""}
    return RetrainEntry(DECISION, TIME, "test", facts)


def outcome(run_key: str, ended: str = "promoted") -> RetrainEntry:
    facts = {"run_key": run_key, "outcome": ended, "release_id": "new", "version": "2"}
    return RetrainEntry(OUTCOME, TIME, "test", {**facts, "summary": ""})


def test_decisions_and_runs_are_counted_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    watch, journal = JournalWatch(path), RetrainJournal(path)
    assert watch.look().newest is None
    journal.append(RetrainEntry(TRIGGER, TIME, "test", {"key": "event", "arrival": "1"}))
    assert watch.look().newest is None
    journal.append(decision("skip"))
    assert watch.look().newest == {
        "time": TIME,
        "outcome": "skip",
        "reasons": ["The last retrain was 1 hour ago."],
        "trigger_key": "event",
        "release_id": "release",
        "run_key": "",
        "run_outcome": None,
    }
    journal.append(decision("retrain", "run 1"))
    newest = watch.look().newest
    assert newest is not None
    assert (newest["outcome"], newest["reasons"], newest["run_outcome"]) == ("retrain", [], None)
    journal.append(outcome("run 1"))
    for one in (watch, JournalWatch(path)):
        seen = one.look()
        assert seen.num_decisions == {"skip": 1, "retrain": 1}
        assert seen.num_runs == {"promoted": 1}
        assert seen.newest is not None
        assert seen.newest["run_outcome"] == "promoted"


def test_a_line_that_is_being_written_waits(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    RetrainJournal(path).append(decision("skip"), decision("retrain", "run 1"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    watch = JournalWatch(path)
    assert watch.look().num_decisions == {"skip": 1}
    path.write_bytes(whole)
    assert watch.look().num_decisions == {"skip": 1, "retrain": 1}


def test_a_journal_put_back_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    RetrainJournal(path).append(decision("skip"), decision("skip"))
    watch = JournalWatch(path)
    assert watch.look().num_decisions == {"skip": 2}
    copy = tmp_path / "copy.jsonl"
    RetrainJournal(copy).append(decision("skip"))
    copy.replace(path)
    assert watch.look().num_decisions == {"skip": 1}


def test_what_is_no_line_of_ours_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'not json\n{"entry": {"kind": "decision"}}\n[]\n')
    assert JournalWatch(path).look().newest is None
