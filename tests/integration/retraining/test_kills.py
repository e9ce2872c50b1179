"""Kill -9 at every write: nothing twice, nothing lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fedchurn.loop.retraining.site import RetrainSite, open_runs
from fedchurn.retraining.trigger import Source, Trigger
from tests.integration.retraining.sites import RELEASE, KeyedTrainer, killed_at, look, site_in
from tests.unit.retraining.events import LIVE, at

NUM_TRIGGERS = 3


def triggers(num: int) -> list[Trigger]:
    return [
        Trigger(f"key {i}", Source.DRIFT, at(i / 60), "Drift.", LIVE, {"window_id": f"w{i}"})
        for i in range(num)
    ]


def drifted(home: Path) -> RetrainSite:
    """A site whose inbox holds triggers."""
    site = site_in(home)
    for trigger in triggers(NUM_TRIGGERS):
        assert site.inbox().add(trigger)
    return site


def check_whole(site: RetrainSite, trainer: KeyedTrainer) -> None:
    """Every trigger is decided once, one training was begun, and its outcome is known."""
    assert site.inbox().pending() == ()
    history = site.journal().history()
    kinds = Counter(entry.kind for entry in history.entries)
    assert kinds["decision"] == kinds["trigger"] == NUM_TRIGGERS
    (retrained,) = history.retrains
    assert kinds["outcome"] == kinds["run"] == kinds["started"] == 1
    assert retrained.outcome is not None
    assert retrained.outcome.facts["release_id"] == RELEASE
    assert trainer.keys == [retrained.run_key]
    for story in history.stories:
        assert story.decision is not None
        assert story.decision.facts["summary"]


def test_killed_before_any_write_and_run_again(tmp_path: Path) -> None:
    step, was_killed = 0, True
    while was_killed:
        step += 1
        home = tmp_path / str(step)
        site, trainer = drifted(home), KeyedTrainer(home / "server")
        was_killed = killed_at(step, home, lambda s=site, t=trainer: look(s, t))  # type: ignore[misc]
        look(site_in(home), trainer)
        check_whole(site, trainer)
    assert step > 20


@pytest.mark.parametrize("second", [1, 5, 13])
def test_killed_and_killed_again(tmp_path: Path, second: int) -> None:
    for first in range(4, 40, 6):
        home = tmp_path / str(first)
        site, trainer = drifted(home), KeyedTrainer(home / "server")
        for step in (first, second):
            killed_at(step, home, lambda s=site, t=trainer: look(s, t))  # type: ignore[misc]
        look(site, trainer)
        check_whole(site, trainer)


def test_a_trigger_that_was_told_is_there_or_can_be_told_again(tmp_path: Path) -> None:
    (trigger,) = triggers(1)
    step, was_killed = 0, True
    while was_killed:
        step += 1
        home = tmp_path / str(step)
        inbox = site_in(home).inbox()
        was_killed = killed_at(step, home, lambda i=inbox: i.add(trigger))  # type: ignore[misc]
        inbox.add(trigger)
        assert inbox.pending() == (trigger,)
    assert step > 3


def test_a_training_that_is_not_over_is_gone_on_with(tmp_path: Path) -> None:
    site = drifted(tmp_path / "home")
    waiting = KeyedTrainer(tmp_path / "home" / "server", outcome="")
    done = look(site, waiting)
    assert [("outcome" in story) for story in done.ran] == [False]
    (story,) = open_runs(site)
    look(site, waiting)
    assert [s.run_key for s in open_runs(site)] == [story.run_key]
    trainer = KeyedTrainer(tmp_path / "home" / "server")
    look(site, trainer)
    check_whole(site, trainer)


def test_a_hundred_triggers_in_an_hour(tmp_path: Path) -> None:
    site, trainer = site_in(tmp_path / "home"), KeyedTrainer(tmp_path / "home" / "server")
    told = triggers(100)
    for trigger in told:
        site.inbox().add(trigger)
        look(site, trainer, time=trigger.time)
    history = site.journal().history()
    assert [bool(story.run_key) for story in history.stories] == [True] + [False] * 99
    assert len(trainer.keys) == 1
    for story in history.stories[1:]:
        assert story.decision is not None
        failed = [check for check in story.decision.facts["checks"] if not check["passed"]]
        assert [check["name"] for check in failed] == ["cooldown"]
        assert story.decision.facts["summary"] == failed[0]["sentence"]
        assert len(story.decision.facts["checks"]) == 11


def test_a_hundred_triggers_in_one_look(tmp_path: Path) -> None:
    site, trainer = site_in(tmp_path / "home"), KeyedTrainer(tmp_path / "home" / "server")
    for trigger in triggers(100):
        site.inbox().add(trigger)
    done = look(site, trainer, time=at(1))
    outcomes = Counter(story["decision"]["outcome"] for story in done.decided)
    assert outcomes == {"retrain": 1, "skip": 99}
    assert len(trainer.keys) == 1
