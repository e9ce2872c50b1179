"""Alerts are kept once, as they came, and never fill the disk."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fedchurn.errors import ReleaseError
from fedchurn.serving.alerts.alert_journal import AlertJournal, AlertsKept

NOW = "2026-03-01T12:00:00Z"
START = "2026-03-01T11:59:00Z"


def message(*fingerprints: str, status: str = "firing", start: str = START) -> dict[str, Any]:
    alerts = [
        {"status": status, "fingerprint": name, "startsAt": start, "labels": {"feature": name}}
        for name in fingerprints
    ]
    return {"groupKey": "{}:{}", "receiver": "drift-webhook", "status": status, "alerts": alerts}


def entries(journal: AlertJournal) -> list[Any]:
    return [json.loads(line) for line in journal.path.read_text().splitlines()]


def test_alerts_are_kept_one_a_line_as_they_came(tmp_path: Path) -> None:
    journal = AlertJournal(tmp_path / "alerts")
    assert journal.num_received == 0
    sent = message("a", "b")
    sent["alerts"][0]["annotations"] = {"summary": "line\nbreak", "key": "mine"}
    assert journal.add(sent, NOW) == AlertsKept(num_new=2, num_resolved=0, num_duplicates=0)
    first, second = entries(journal)
    assert first["alert"] == sent["alerts"][0]
    assert second["alert"] == sent["alerts"][1]
    facts = {name: first[name] for name in ("number", "time", "groupKey", "receiver")}
    assert facts == {
        "number": 1,
        "time": NOW,
        "groupKey": "{}:{}",
        "receiver": "drift-webhook",
    }
    assert journal.num_received == 2


def test_what_is_told_again_is_not_kept_again(tmp_path: Path) -> None:
    journal = AlertJournal(tmp_path)
    journal.add(message("a"), NOW)
    assert journal.add(message("a", "b"), NOW) == AlertsKept(1, 0, 1)
    assert AlertJournal(tmp_path).add(message("b", "b"), NOW) == AlertsKept(0, 0, 2)  # restarted
    assert journal.num_received == 2


@pytest.mark.parametrize(
    "other",
    [
        message("a", status="resolved"),
        message("a", start="2026-03-02T00:00:00Z"),
        {**message("a"), "groupKey": "another"},
        message("b"),
        {**message("a"), "alerts": [{"labels": {"feature": "a"}}]},
    ],
    ids=["resolved", "began anew", "another group", "another alert", "without a fingerprint"],
)
def test_another_event_is_kept(tmp_path: Path, other: dict[str, Any]) -> None:
    journal = AlertJournal(tmp_path)
    journal.add(message("a"), NOW)
    num_resolved = int(other["status"] == "resolved")
    assert journal.add(other, NOW) == AlertsKept(1, num_resolved, 0)


def test_alerts_without_fingerprint_are_told_apart_by_their_labels(tmp_path: Path) -> None:
    journal = AlertJournal(tmp_path)
    bare = {"alerts": [{"labels": {"feature": "a"}}, {"labels": {"feature": "b"}}]}
    assert journal.add(bare, NOW) == AlertsKept(2, 0, 0)
    assert journal.add(bare, NOW) == AlertsKept(0, 0, 2)


def test_several_workers_keep_an_alert_once(tmp_path: Path) -> None:
    journals = [AlertJournal(tmp_path, max_bytes=1500) for _ in range(4)]
    found: list[AlertsKept] = []

    def tell(journal: AlertJournal) -> None:
        found.extend(journal.add(message(f"shared {i}"), NOW) for i in range(10))

    threads = [threading.Thread(target=tell, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(kept.num_new for kept in found) == 10
    assert sum(kept.num_duplicates for kept in found) == 30
    assert [journal.num_received for journal in journals] == [10] * 4


def test_two_files_at_most_and_the_older_one_is_remembered(tmp_path: Path) -> None:
    journal, other = AlertJournal(tmp_path, max_bytes=1000), AlertJournal(tmp_path)
    assert other.num_received == 0
    for number in range(100):
        journal.add(message(f"{number}"), NOW)
    files = sorted(tmp_path.glob("*.jsonl"))
    assert [file.name for file in files] == ["drift-alerts.1.jsonl", "drift-alerts.jsonl"]
    assert all(file.stat().st_size < 1300 for file in files)
    assert [journal.num_received, other.num_received] == [100, 100]
    kept = sum(len(file.read_text().splitlines()) for file in files)
    newest = message(*(str(number) for number in range(100 - kept, 100)))
    for one in (journal, other, AlertJournal(tmp_path)):
        assert one.add(newest, NOW) == AlertsKept(0, 0, kept)


def test_half_a_line_costs_only_itself(tmp_path: Path) -> None:
    journal = AlertJournal(tmp_path)
    journal.add(message("a"), NOW)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + whole[:40])
    for one in (journal, AlertJournal(tmp_path)):
        assert one.num_received == 1
    assert journal.add(message("b"), NOW) == AlertsKept(1, 0, 0)
    assert AlertJournal(tmp_path).add(message("a", "b"), NOW) == AlertsKept(0, 0, 2)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = AlertJournal(tmp_path / "file")
    with pytest.raises(ReleaseError, match="cannot be kept"):
        journal.add(message("a"), NOW)
    assert journal.num_received == 0


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = AlertJournal(tmp_path)
    journal.add(message("a"), NOW)
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: write(handle, content[:30]))
    with pytest.raises(ReleaseError, match="disk is full"):
        journal.add(message("b"), NOW)
    monkeypatch.undo()
    assert journal.add(message("a", "b"), NOW) == AlertsKept(1, 0, 1)  # it was told again
