"""Alerts are kept as they came, and never fill the disk."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from fedchurn.errors import ReleaseError
from fedchurn.serving.feedback.alert_journal import AlertJournal


def test_alerts_are_kept_one_a_line(tmp_path: Path) -> None:
    journal = AlertJournal(tmp_path / "alerts")
    journal.add({"status": "firing", "note": "line\nbreak"})
    journal.add({"status": "resolved"})
    lines = journal.path.read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["firing", "resolved"]
    assert journal.num_received == 2


def test_several_workers_share_the_file(tmp_path: Path) -> None:
    journals = [AlertJournal(tmp_path) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda j=j: [j.add({"text": "x" * 2000}) for _ in range(10)])
        for j in journals
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = journals[0].path.read_text().splitlines()
    assert len(lines) == 40
    assert all(json.loads(line) == {"text": "x" * 2000} for line in lines)
    assert [journal.num_received for journal in journals] == [40] * 4


def test_two_files_at_most(tmp_path: Path) -> None:
    journal = AlertJournal(tmp_path, max_bytes=1000)
    for _ in range(100):
        journal.add({"text": "x" * 100})
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["drift-alerts.1.jsonl", "drift-alerts.jsonl"]
    assert all(file.stat().st_size < 1200 for file in files)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = AlertJournal(tmp_path / "file")
    with pytest.raises(ReleaseError, match="cannot be kept"):
        journal.add({})
    assert journal.num_received == 0
