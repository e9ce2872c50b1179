"""Production is exactly one model, whatever is killed and when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fedchurn.errors import PromotionConflict, PromotionError, PromotionRefused
from fedchurn.registry.journal import Journal
from fedchurn.registry.promoter import promote, refuse, rollback, stage
from fedchurn.registry.recovery import recover
from tests.unit.registry.acts import act, promoted, refused
from tests.unit.registry.memory_registry import (
    Countdown,
    DyingJournal,
    DyingRegistry,
    Killed,
    MemoryRegistry,
)
from tests.unit.registry.registry_suite import Add, RegistrySuite

Change = Callable[[MemoryRegistry, Journal], object]


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def add(registry: MemoryRegistry) -> Add:
    return registry.add


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


class TestMemoryRegistry(RegistrySuite):
    """The fake does what the real one does."""


def statuses(registry: MemoryRegistry) -> dict[str, str]:
    return {v.version: v.tags.get("status", "") for v in registry.versions()}


def two_live(registry: MemoryRegistry, journal: Journal) -> None:
    """1 was live, 2 is, 3 is under judgement."""
    for version, before in ((registry.add("r1"), None), (registry.add("r2"), "1")):
        promote(registry, journal, version, before, promoted(f"r{version}", before), act(1))
    stage(registry, registry.add("r3"))


def test_first_promotion(registry: MemoryRegistry, journal: Journal) -> None:
    stage(registry, registry.add("r1"))
    entry = promote(registry, journal, "1", None, promoted("r1", None), act(1))
    assert entry.action == "promote"
    assert entry.decision == promoted("r1", None).to_dict()
    assert registry.aliases() == {"production": "1"}
    assert [e.action for e in journal.history()] == ["promoting", "promote"]


def test_the_older_ones_are_previous_and_archived(
    registry: MemoryRegistry, journal: Journal
) -> None:
    two_live(registry, journal)
    promote(registry, journal, "3", "2", promoted("r3", "r2"), act(3))
    assert registry.aliases() == {"production": "3", "previous": "2"}
    assert statuses(registry) == {"1": "Archived", "2": "Previous", "3": "Production"}
    assert [v.tags["archived"] for v in registry.versions()] == ["true", "false", "false"]


def test_a_refused_decision_cannot_be_promoted(registry: MemoryRegistry, journal: Journal) -> None:
    two_live(registry, journal)
    with pytest.raises(PromotionRefused, match="below the floor"):
        promote(registry, journal, "3", "2", refused("r3", "r2"), act(3))
    assert registry.aliases()["production"] == "2"


def test_a_refusal_archives_and_leaves_the_champion(
    registry: MemoryRegistry, journal: Journal
) -> None:
    two_live(registry, journal)
    for _ in range(2):  # a retried flow
        entry = refuse(registry, journal, "3", refused("r3", "r2"), act(3))
    assert entry.action == "refuse"
    assert registry.aliases() == {"production": "2", "previous": "1"}
    assert statuses(registry)["3"] == "Archived"
    assert [e.action for e in journal.why("r3")] == ["refuse"]
    found = registry.find("3")
    assert found is not None
    assert found.tags["archived_reason"] == "Accuracy 0.7000 is below the floor 0.8000."


def test_a_first_model_below_the_floor_is_archived(
    registry: MemoryRegistry, journal: Journal
) -> None:
    registry.add("r1")
    assert refuse(registry, journal, "1", refused("r1", None), act(1)).action == "archive"
    assert registry.aliases() == {}


def test_refusing_the_champion_again_does_not_archive_it(
    registry: MemoryRegistry, journal: Journal
) -> None:
    two_live(registry, journal)
    refuse(registry, journal, "2", refused("r2", "r2"), act(3))
    assert statuses(registry)["2"] == "Production"


def test_promoting_what_is_live_or_unknown(registry: MemoryRegistry, journal: Journal) -> None:
    two_live(registry, journal)
    with pytest.raises(PromotionError, match=r"version 2 \(r2\) is in production already"):
        promote(registry, journal, "2", "2", None, act(3))
    with pytest.raises(PromotionError, match="choose one of: 1, 2, 3"):
        promote(registry, journal, "7", "2", None, act(3))


def test_a_retried_promotion_is_told_that_it_is_done(
    registry: MemoryRegistry, journal: Journal
) -> None:
    two_live(registry, journal)
    first = promote(registry, journal, "3", "2", promoted("r3", "r2"), act(3))
    assert promote(registry, journal, "3", "2", promoted("r3", "r2"), act(4)) == first


def test_rollbacks_go_further_back_and_then_say_so(
    registry: MemoryRegistry, journal: Journal
) -> None:
    two_live(registry, journal)
    promote(registry, journal, "3", "2", None, act(3))
    assert rollback(registry, journal, act(4)).version == "2"
    assert registry.aliases() == {"production": "2", "previous": "1"}
    assert rollback(registry, journal, act(5), expected_champion="2").version == "1"
    assert statuses(registry) == {"1": "Production", "2": "Archived", "3": "Archived"}
    with pytest.raises(PromotionError, match="no earlier version"):
        rollback(registry, journal, act(6))
    with pytest.raises(PromotionConflict):
        rollback(registry, journal, act(6), expected_champion="3")


def test_a_change_made_outside_is_noted_and_conflicts(
    registry: MemoryRegistry, journal: Journal
) -> None:
    two_live(registry, journal)
    registry.set_alias("production", "1")
    with pytest.raises(PromotionConflict, match=r"version 1 \(r1\) took over as found outside"):
        promote(registry, journal, "3", "2", None, act(3))
    assert journal.champion() == "1"
    assert statuses(registry)["1"] == "Production"
    registry.delete_alias("production")
    assert "1 -> nothing" in recover(registry, journal, act(4))
    promote(registry, journal, "3", None, None, act(5))
    assert journal.champion() == "3"


def test_deleted_versions_do_not_block(registry: MemoryRegistry, journal: Journal) -> None:
    two_live(registry, journal)
    registry.remove("1")
    registry.delete_alias("previous")
    promote(registry, journal, "3", "2", None, act(3))
    registry.remove("2")
    registry.delete_alias("previous")
    with pytest.raises(PromotionError, match="no earlier version"):
        rollback(registry, journal, act(4))


def _promote(registry: MemoryRegistry, journal: Journal) -> object:
    return promote(registry, journal, "3", "2", promoted("r3", "r2"), act(3))


def _rollback(registry: MemoryRegistry, journal: Journal) -> object:
    return rollback(registry, journal, act(3))


def _kill(change: Change, tmp_path: Path, step: int, *, after: bool) -> tuple[MemoryRegistry, bool]:
    """State after a kill at a step, and whether there was such a step."""
    registry, path = MemoryRegistry(), tmp_path / f"{step}-{after}.jsonl"
    two_live(registry, Journal(path))
    countdown = Countdown(step, after=after)
    try:
        change(DyingRegistry(registry, countdown), DyingJournal(path, countdown))
    except Killed:
        return registry, True
    return registry, False


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("change", "winner"), [(_promote, "3"), (_rollback, "1")], ids=["promote", "rollback"]
)
def test_killed_at_any_step_production_is_one_and_recovery_makes_it_consistent(
    change: Change, winner: str, after: bool, tmp_path: Path
) -> None:
    outcomes = []
    for step in range(1, 50):
        registry, killed = _kill(change, tmp_path, step, after=after)
        if not killed:
            break
        live = registry.aliases()["production"]  # even before recovery exactly one is live
        journal = Journal(tmp_path / f"{step}-{after}.jsonl")
        recover(registry, journal, act(4, "boris"))
        assert registry.aliases()["production"] == live
        assert journal.champion() == live
        assert journal.pending() is None
        assert [v for v, s in statuses(registry).items() if s == "Production"] == [live]
        assert recover(registry, journal, act(5)) == ""
        outcomes.append(live)
    before = outcomes.count("2")
    assert outcomes == ["2"] * before + [winner] * (len(outcomes) - before)
    assert 1 <= before < len(outcomes)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("change", "final"),
    [
        (_promote, ({"production": "3", "previous": "2"}, ["Archived", "Previous", "Production"])),
        (_rollback, ({"production": "1", "staging": "3"}, ["Production", "Archived", "Staging"])),
    ],
    ids=["promote", "rollback"],
)
def test_killed_at_any_step_and_repeated_the_result_is_that_of_an_undisturbed_run(
    change: Change, final: tuple[dict[str, str], list[str]], after: bool, tmp_path: Path
) -> None:
    for step in range(1, 50):
        registry, killed = _kill(change, tmp_path, step, after=after)
        if not killed:
            break
        journal = Journal(tmp_path / f"{step}-{after}.jsonl")
        done = [e.action for e in journal.history()]
        if change is _rollback and done[-1] == "rollback":
            continue  # it was done; repeating it is a second rollback
        change(registry, journal)
        assert (registry.aliases(), list(statuses(registry).values())) == final
    assert step > 5
