"""Triggers wait once, whoever tells them, and none is lost."""

from __future__ import annotations

import math
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from fedchurn.errors import RetrainingError
from fedchurn.retraining.asking import STALE_SECONDS, claim_asking, forget_asking
from fedchurn.retraining.inbox import TriggerInbox
from tests.unit.retraining.events import at, drift


def add_all(folder: Path, numbers: list[int]) -> int:
    """How many of these windows were new; runs in a process of its own."""
    inbox = TriggerInbox(folder)
    return sum(inbox.add(drift(number)) for number in numbers)


def ask(folder: Path) -> bool:
    return claim_asking(folder)


def test_an_empty_inbox_is_no_folder(tmp_path: Path) -> None:
    assert TriggerInbox(tmp_path / "inbox").pending() == ()
    assert not (tmp_path / "inbox").exists()


def test_a_key_waits_once_and_events_come_in_order(tmp_path: Path) -> None:
    inbox = TriggerInbox(tmp_path)
    late, early = drift(1, time=at(2)), drift(2, time=at(1))
    assert inbox.add(late)
    assert inbox.add(early)
    assert not inbox.add(drift(1, time=at(3), summary="told again"))
    assert TriggerInbox(tmp_path).pending() == (early, late)


def test_processes_that_tell_the_same_events_at_once(tmp_path: Path) -> None:
    numbers = list(range(40))
    tellings = [numbers[start:] + numbers[:start] for start in (0, 7, 20, 33)]
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        new = sum(pool.map(add_all, [tmp_path] * 4, tellings))
        assert new == 40
        assert len(TriggerInbox(tmp_path).pending()) == 40
        assert sum(pool.map(ask, [tmp_path] * 20)) == 1


def test_what_is_done_waits_no_longer_and_is_remembered_for_a_while(tmp_path: Path) -> None:
    inbox = TriggerInbox(tmp_path, repeat_hours=2)
    inbox.add(drift())
    (first,) = inbox.arrivals()
    inbox.done([drift().key, "another"])
    assert inbox.pending() == ()
    assert not inbox.add(drift())
    (decided,) = (tmp_path / "done").iterdir()
    long_ago = decided.stat().st_mtime - 2 * 3600 - 1
    os.utime(decided, (long_ago, long_ago))
    assert inbox.add(drift())
    (second,) = inbox.arrivals()
    assert second.trigger == first.trigger
    assert second.number != first.number


def test_what_a_killed_writer_left_is_no_trigger(tmp_path: Path) -> None:
    inbox = TriggerInbox(tmp_path)
    inbox.add(drift())
    left = tmp_path / ".new-abc"
    left.write_text('{"number"')
    os.utime(left, (0, 0))
    assert len(inbox.pending()) == 1
    inbox.done([])
    assert not left.exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    inbox = TriggerInbox(tmp_path)
    inbox.add(drift())
    (file,) = tmp_path.glob("*.json")
    file.write_text("{}")
    with pytest.raises(RetrainingError, match=file.name):
        inbox.pending()


def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    with pytest.raises(RetrainingError, match="not JSON"):
        TriggerInbox(tmp_path).add(drift(evidence={"p": math.nan}))
    (tmp_path / "file").write_text("")
    with pytest.raises(RetrainingError, match="cannot be kept"):
        TriggerInbox(tmp_path / "file" / "inbox").add(drift())
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_one_asks_until_the_note_is_taken_down_or_old(tmp_path: Path) -> None:
    folder = tmp_path / "retraining"
    forget_asking(folder)
    assert [claim_asking(folder), claim_asking(folder)] == [True, False]
    forget_asking(folder)
    assert claim_asking(folder)
    old = (folder / "asked").stat().st_mtime - STALE_SECONDS - 1
    os.utime(folder / "asked", (old, old))
    assert [claim_asking(folder), claim_asking(folder)] == [True, False]
