"""The journal: append-only, chained, compare-and-set, and whole after a kill."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.errors import BusyError, PromotionConflict, PromotionError
from fedchurn.registry.entry import Entry
from fedchurn.registry.journal import Journal
from tests.unit.registry.acts import at


def entry(action: str, version: str, minute: int, before: str | None = None) -> Entry:
    return Entry(action, version, f"shop-{version}", f"run-{version}", "anna", at(minute), before)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "journal.jsonl")


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert journal.history() == ()
    assert journal.champion() is None
    assert journal.pending() is None
    assert not journal.path.exists()


def test_entries_come_back_in_order_and_move_the_champion(journal: Journal) -> None:
    entries = [
        entry("promoting", "1", 1),
        entry("promote", "1", 1),
        entry("refuse", "2", 2, "1"),
        entry("promote", "3", 3, "1"),
    ]
    for item, champion in zip(entries, [None, None, "1", "1"], strict=True):
        journal.append(item, champion)
    assert journal.history() == tuple(entries)
    assert journal.champion() == "3"
    assert Journal(journal.path).history() == tuple(entries)


def test_the_loser_is_told_who_won_when_and_with_what(journal: Journal) -> None:
    journal.append(entry("promote", "1", 1), None)
    with pytest.raises(PromotionConflict) as caught:
        journal.append(entry("promote", "2", 2), None)
    assert "version 1 (shop-1) was put into production at 2026-03-01T12:01:00+00:00 by anna" in str(
        caught.value
    )
    assert "judged against nothing" in str(caught.value)
    assert caught.value.exit_code == 21
    assert len(journal.history()) == 1


def test_what_was_live_when(journal: Journal) -> None:
    journal.append(entry("promote", "1", 10), None)
    journal.append(entry("promote", "2", 20, "1"), "1")
    journal.append(entry("refuse", "3", 25, "2"), "2")
    journal.append(entry("rollback", "1", 30, "2"), "2")
    live = {}
    for minute in (5, 10, 15, 20, 29, 30, 59):
        found = journal.live_at(datetime(2026, 3, 1, 12, minute, tzinfo=UTC))
        live[minute] = found.version if found else None
    assert live == {5: None, 10: "1", 15: "1", 20: "2", 29: "2", 30: "1", 59: "1"}
    with pytest.raises(PromotionError, match="UTC offset"):
        journal.live_at(datetime(2026, 3, 1))


def test_why_finds_a_release_by_id_beginning_or_version(journal: Journal) -> None:
    journal.append(entry("promote", "1", 1), None)
    journal.append(entry("promote", "12", 2, "1"), "1")
    assert [e.version for e in journal.why("shop-12")] == ["12"]
    assert [e.version for e in journal.why("1")] == ["1"]
    assert [e.version for e in journal.why("v12")] == ["12"]
    with pytest.raises(PromotionError, match="did you mean 'shop-12'"):
        journal.why("shpo-12")


def test_lineage_forgets_what_was_rolled_back(journal: Journal) -> None:
    steps = [
        ("promote", "1"),
        ("promote", "2"),
        ("rollback", "1"),
        ("promote", "3"),
        ("adopt", "9"),
    ]
    champion: str | None = None
    for minute, (action, version) in enumerate(steps):
        journal.append(entry(action, version, minute, champion), champion)
        champion = version
    assert journal.lineage() == ("1", "3", "9")


@pytest.mark.parametrize("keep", [1, 30, 100])
def test_a_torn_last_line_does_not_count_and_is_set_aside(journal: Journal, keep: int) -> None:
    journal.append(entry("promote", "1", 1), None)
    journal.append(entry("promote", "2", 2, "1"), "1")
    whole, last = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(whole + last[:keep])
    assert journal.champion() == "1"
    journal.append(entry("promote", "3", 3, "1"), "1")
    assert [e.version for e in journal.history()] == ["1", "3"]
    aside = journal.path.with_name("journal.jsonl.torn-2")
    assert aside.read_bytes() == last[:keep]


def test_a_line_that_lacks_only_its_end_was_never_confirmed(journal: Journal) -> None:
    journal.append(entry("promote", "1", 1), None)
    journal.path.write_bytes(journal.path.read_bytes()[:-1])
    assert journal.champion() is None


def _edit(line: bytes) -> bytes:
    stored = json.loads(line)
    stored["entry"]["actor"] = "nobody"
    return json.dumps(stored).encode()


@pytest.mark.parametrize("attack", ["edit", "remove", "swap", "garbage"])
def test_an_altered_line_is_noticed(journal: Journal, attack: str) -> None:
    champion: str | None = None
    for number in ("1", "2", "3"):
        journal.append(entry("promote", number, int(number), champion), champion)
        champion = number
    one, two, three = journal.path.read_bytes().splitlines()
    lines = {
        "edit": [one, _edit(two), three],
        "remove": [one, three],
        "swap": [one, three, two],
        "garbage": [one, b"{}", three],
    }[attack]
    journal.path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(PromotionError, match="line 2 of the journal is altered"):
        journal.history()
    with pytest.raises(PromotionError, match="line 2"):
        journal.append(entry("promote", "4", 4, "3"), "3")


@pytest.mark.parametrize("time", ["yesterday", "2026-03-01T12:00:00", ""])
def test_a_time_without_offset_is_refused(time: str) -> None:
    with pytest.raises(PromotionError, match="UTC offset"):
        Entry("promote", "1", "r", "", "anna", time, None)
    with pytest.raises(PromotionError, match="unknown journal action"):
        Entry("promoted", "1", "r", "", "anna", at(1), None)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PromotionError, match="the journal cannot be used"):
        Journal(tmp_path / "file" / "journal.jsonl").append(entry("promote", "1", 1), None)


def test_a_second_promoter_waits_only_so_long(journal: Journal) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with journal.lock(), journal.lock():
            inside.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(30)
    with pytest.raises(BusyError, match="another promotion is under way"):
        Journal(journal.path, lock_seconds=0.05).append(entry("promote", "1", 1), None)
    leave.set()
    holder.join()
    journal.append(entry("promote", "1", 1), None)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["1", "2", "3", ""]), max_size=8), st.integers(0, 10_000))
def test_any_cut_of_the_file_leaves_a_beginning_of_the_history(
    tmp_path_factory: pytest.TempPathFactory, versions: list[str], cut: int
) -> None:
    journal = Journal(tmp_path_factory.mktemp("j") / "journal.jsonl")
    champion: str | None = None
    for minute, version in enumerate(versions):
        journal.append(entry("adopt", version, minute, champion), champion)
        champion = version or None
    history = journal.history()
    content = journal.path.read_bytes() if versions else b""
    journal.path.write_bytes(content[: cut % (len(content) + 1)])
    left = journal.history()
    assert left == history[: len(left)]
    journal.append(entry("adopt", "7", 59, journal.champion()), journal.champion())
    assert journal.history() == (*left, journal.history()[-1])
