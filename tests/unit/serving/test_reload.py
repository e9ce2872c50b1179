"""Another release takes over without a restart, or the previous one goes on and says why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedchurn.contract.load import contract_digest
from fedchurn.errors import IntegrityError
from fedchurn.release.scorer import Scorer
from fedchurn.release.write import ReleaseParts
from fedchurn.serving.experiment.experiment import Experiment
from fedchurn.serving.live import Serving
from fedchurn.serving.reload import loading as reload_loading
from fedchurn.serving.reload import reloader as reload_module
from fedchurn.serving.reload.events import NoEvents
from fedchurn.serving.reload.request import request_path
from fedchurn.serving.reload.result import ReloadResult
from fedchurn.serving.reload.watch import Watcher
from fedchurn.serving.reload.worker_states import write_state
from fedchurn.serving.served_release import ServedRelease
from tests.unit.release.releases import card, parts
from tests.unit.serving.homes import flip_one_bit, point, released, reloader_of, settings_of

ROW = {"Tenure": 4, "Cashback": 20.5, "Device": "Phone", "City": "Turin"}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The release in production, as version 7."""
    folder = released(tmp_path)
    point(tmp_path, folder)
    return folder


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return released(tmp_path, parts(seed=8))


def _of_contract(**changes: str) -> ReleaseParts:
    """A release of a contract that differs in its name or version."""
    made = parts(seed=8)
    contract = made.model.contract.model_copy(update=changes)

    def moved(scorer: Scorer | None) -> Scorer | None:
        return replace(scorer, contract=contract) if scorer else None

    facts = {
        "contract": contract.contract,
        "contract_version": contract.version,
        "contract_digest": contract_digest(contract),
    }
    return replace(made, card=card(**facts), model=moved(made.model), fallback=moved(made.fallback))


def _ids(result: ReloadResult) -> tuple[str, str, str]:
    return result.status, result.previous_release, result.new_release


class _Told(NoEvents):
    def __init__(self) -> None:
        self.states: list[Serving] = []
        self.results: list[ReloadResult] = []
        self.golden: list[tuple[str, bool]] = []

    def serving_changed(self, state: Serving) -> None:
        self.states.append(state)

    def reload_ended(self, result: ReloadResult) -> None:
        self.results.append(result)

    def golden_checked(self, role: str, passed: bool) -> None:
        self.golden.append((role, passed))


def test_a_promotion_takes_over(tmp_path: Path, old: Path, new: Path) -> None:
    told = _Told()
    reloader = reloader_of(settings_of(tmp_path), events=told)
    before = reloader.live.state
    point(tmp_path, new, version="8")
    result = reloader.follow()
    assert result is not None
    assert _ids(result) == ("reloaded", old.name, new.name)
    assert (result.previous_version, result.new_version) == ("7", "8")
    assert result.accuracy == 0.894
    assert result.rule is None
    assert reloader.live.state.champion.release_id == new.name
    assert before.champion.release_id == old.name  # who took it before the swap keeps it
    assert told.states == [before, reloader.live.state]
    assert told.results == [result]
    assert reloader.last == result


def test_the_same_again_swaps_nothing(tmp_path: Path, old: Path) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    state = reloader.live.state
    reloader.follow()
    assert _ids(reloader.reload()) == ("unchanged", old.name, old.name)
    assert reloader.live.state is state
    assert reloader.last is None


def test_the_same_bytes_under_another_version_are_not_loaded_again(
    tmp_path: Path, old: Path
) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    model = reloader.live.state.champion.model
    point(tmp_path, old, version="9")
    assert reloader.reload().new_version == "9"
    assert reloader.live.state.champion.version == "9"
    assert reloader.live.state.champion.model is model


def test_nothing_is_loaded_while_nothing_changes(
    tmp_path: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    reloader.follow()
    monkeypatch.setattr(reload_module, "ready", None)  # would fail
    assert [reloader.follow() for _ in range(3)] == [None, None, None]


def test_a_damaged_file_of_any_name_keeps_the_previous_release(
    tmp_path: Path, old: Path, new: Path
) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    state = reloader.live.state
    point(tmp_path, new)
    for path in [p for p in new.rglob("*") if p.is_file()]:
        before = path.read_bytes()
        flip_one_bit(path)
        result = reloader.reload()
        assert _ids(result) == ("failed", old.name, old.name)
        assert result.rule == "damaged_release"
        assert "goes on answering" in result.message
        assert reloader.live.state is state
        assert reloader.fault == result.message
        path.write_bytes(before)
    assert reloader.reload().status == "reloaded"
    assert reloader.fault is None


def test_what_failed_is_tried_again_when_its_time_has_come(
    tmp_path: Path, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    before = (new / "weights.npz").read_bytes()
    flip_one_bit(new / "weights.npz")
    point(tmp_path, new)
    result = reloader.follow()
    assert result is not None
    assert result.status == "failed"
    assert reloader.follow() is None  # not yet
    (new / "weights.npz").write_bytes(before)
    monkeypatch.setattr(reload_module, "RETRY_SECONDS", 0.0)
    flip_one_bit(new / "MANIFEST.sha256")  # a change is looked at at once
    assert reloader.follow() is not None
    flip_one_bit(new / "MANIFEST.sha256")
    reloader.follow()
    assert reloader.live.state.champion.release_id == new.name


@pytest.mark.parametrize("text", ["", '{"release_folder": "/x", "release_', "null"])
def test_a_pointer_that_is_half_written_changes_nothing(
    tmp_path: Path, old: Path, new: Path, text: str
) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    pointer = point(tmp_path, new)
    pointer.write_text(text)
    result = reloader.follow()
    assert result is not None
    assert (result.status, result.rule) == ("failed", "unreadable_source")
    assert "cannot be read" in str(reloader.fault)
    point(tmp_path, new)
    reloader.follow()
    assert reloader.fault is None
    assert reloader.live.state.champion.release_id == new.name


def test_a_pointer_that_is_deleted_changes_nothing(tmp_path: Path, old: Path) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    pointer = point(tmp_path, old)
    pointer.unlink()
    assert reloader.reload().status == "failed"
    assert "no release of contract 'shop' is in production" in str(reloader.fault)
    assert reloader.live.state.champion.release_id == old.name
    point(tmp_path, old)
    reloader.follow()
    assert reloader.fault is None  # nothing to swap, but what was wrong is not wrong any more


def test_a_failure_that_is_over_is_told(tmp_path: Path, old: Path, new: Path) -> None:
    told = _Told()
    reloader = reloader_of(settings_of(tmp_path), events=told)
    point(tmp_path, old).unlink()
    reloader.follow()
    point(tmp_path, old)
    reloader.follow()
    reloader.reload("mistyped")
    reloader.follow()
    reloader.follow()
    assert [r.status for r in told.results] == ["failed", "unchanged", "failed", "unchanged"]


def test_a_release_of_another_contract_is_refused(tmp_path: Path, old: Path) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    other = released(tmp_path, _of_contract(contract="toys"))
    result = reloader.reload(other.name)
    assert (result.status, result.rule) == ("failed", "other_contract")
    assert "of contract 'toys', but callers send rows of 'shop'" in result.message
    assert reloader.live.state.champion.release_id == old.name
    assert reloader.fault is None  # what is wanted does answer
    assert not request_path(settings_of(tmp_path).workers_folder).exists()


def test_a_newer_version_of_the_contract_is_taken(tmp_path: Path, old: Path) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    newer = released(tmp_path, _of_contract(version="1.3.0"))
    assert reloader.reload(newer.name).status == "reloaded"
    assert reloader.live.state.champion.contract.version == "1.3.0"


def test_a_named_release_holds_over_restarts_until_the_next_promotion(
    tmp_path: Path, old: Path, new: Path
) -> None:
    settings = settings_of(tmp_path)
    first = reloader_of(settings)
    second = reloader_of(settings)
    assert _ids(first.reload(new.name)) == ("reloaded", old.name, new.name)
    second.follow()
    assert second.live.state.champion.release_id == new.name
    assert reloader_of(settings).live.state.champion.release_id == new.name
    point(tmp_path, old, version="9")
    for reloader in (first, second):
        reloader.follow()
        assert reloader.live.state.champion.release_id == old.name
    assert reloader_of(settings).live.state.champion.version == "9"


def test_a_reload_without_a_name_goes_back_to_production(
    tmp_path: Path, old: Path, new: Path
) -> None:
    settings = settings_of(tmp_path)
    first, second = reloader_of(settings), reloader_of(settings)
    first.reload(str(new))
    second.follow()
    assert _ids(second.reload()) == ("reloaded", new.name, old.name)
    first.follow()
    assert first.live.state.champion.release_id == old.name


def test_who_chose_the_release_is_known(tmp_path: Path, old: Path, new: Path) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    assert reloader.chosen_by == "promotion"
    reloader.reload(new.name)
    assert reloader.chosen_by == "call"  # a pin that somebody may forget is seen
    point(tmp_path, new)
    reloader.follow()
    assert reloader.chosen_by == "promotion"
    assert reloader_of(settings_of(tmp_path, release=old)).chosen_by == "setting"


@pytest.mark.parametrize("named", ["nowhere", "../releases", "/etc", "", "."])
def test_a_release_that_is_not_there_is_refused(tmp_path: Path, old: Path, named: str) -> None:
    result = reloader_of(settings_of(tmp_path)).reload(named)
    assert (result.status, result.rule) == ("failed", "unknown_release")


def test_a_setting_that_names_the_release_is_not_overruled(
    tmp_path: Path, old: Path, new: Path
) -> None:
    reloader = reloader_of(settings_of(tmp_path, release=old))
    result = reloader.reload(new.name)
    assert (result.status, result.rule) == ("failed", "fixed_release")
    assert reloader.reload().status == "unchanged"


def test_a_named_folder_is_followed_when_it_is_replaced(
    tmp_path: Path, old: Path, new: Path
) -> None:
    link = tmp_path / "current"
    link.symlink_to(old)
    reloader = reloader_of(settings_of(tmp_path, release=link))
    link.unlink()
    link.symlink_to(new)
    result = reloader.follow()
    assert result is not None
    assert _ids(result) == ("reloaded", old.name, new.name)


def test_an_interval_of_zero_follows_people_only(tmp_path: Path, old: Path, new: Path) -> None:
    settings = settings_of(tmp_path, reload_interval_seconds=0)
    first, second = reloader_of(settings), reloader_of(settings)
    point(tmp_path, new)
    assert second.follow() is None
    assert first.reload().status == "reloaded"
    second.follow()
    assert second.live.state.champion.release_id == new.name
    assert second.follow() is None


def test_where_the_others_cannot_be_told_only_what_they_find_themselves_is_taken(
    tmp_path: Path, old: Path, new: Path
) -> None:
    settings = settings_of(tmp_path)
    settings.service_folder.mkdir(parents=True)
    settings.workers_folder.write_text("no folder")
    reloader = reloader_of(settings)
    assert reloader.reload(new.name).rule == "not_shared"
    assert reloader.live.state.champion.release_id == old.name


def _counting(monkeypatch: pytest.MonkeyPatch, before: Callable[[], Any]) -> list[str]:
    """Names of folders that were loaded; ``before`` runs before each load."""
    loads: list[str] = []
    true_load = reload_loading.load_wanted

    def load(wanted: Any, **options: Any) -> ServedRelease:
        loads.append(wanted.folder.name)
        before()
        return true_load(wanted, **options)

    monkeypatch.setattr(reload_loading, "load_wanted", load)
    return loads


@pytest.mark.parametrize("damaged", [False, True])
def test_callers_at_once_share_the_work(
    tmp_path: Path, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    point(tmp_path, new)
    if damaged:
        flip_one_bit(new / "encoder.json")
    all_wait = threading.Event()
    loads = _counting(monkeypatch, lambda: all_wait.wait(20))
    results: list[ReloadResult] = []
    came = [threading.Event() for _ in range(8)]

    def call(event: threading.Event) -> None:
        event.set()
        results.append(reloader.reload())

    threads = [threading.Thread(target=call, args=(event,)) for event in came]
    for thread, event in zip(threads, came, strict=True):
        thread.start()
        assert event.wait(20)
    all_wait.set()
    for thread in threads:
        thread.join(20)
    assert 1 <= len(loads) <= (3 if damaged else 1)  # the last to come may come after the first
    statuses = [result.status for result in results]
    if damaged:
        assert statuses == ["failed"] * 8
    else:
        assert sorted(set(statuses)) == ["reloaded", "unchanged"]


def test_readers_during_200_swaps_get_the_answers_of_the_release_that_is_named(
    tmp_path: Path, old: Path, new: Path
) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    live = reloader.live
    expected = {}
    for folder in (new, old):
        reloader.reload(folder.name)
        expected[folder.name] = live.state.champion.model.one(ROW)
    assert abs(expected[old.name] - expected[new.name]) > 1e-3
    stop, wrong, seen = threading.Event(), [], {old.name: 0, new.name: 0}

    def read() -> None:
        while not stop.is_set():
            served = live.state.champion
            single = served.model.one(ROW)
            outcome = served.chain.answer([ROW])[0]
            for found in (single, outcome.probability):
                if abs(found - expected[served.release_id]) > 1e-9:
                    wrong.append((served.release_id, found))
            if outcome.reason or served.release.release_id != served.release_id:
                wrong.append((served.release_id, outcome.reason))
            seen[served.release_id] += 1

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(200):
        assert reloader.reload((new, old)[number % 2].name).status == "reloaded"
    stop.set()
    for reader in readers:
        reader.join(20)
    assert wrong == []
    assert min(seen.values()) > 0


def _spoil(served: ServedRelease) -> None:
    """What bad memory would do to the model that answers."""
    for weights in served.model._weights:
        weights.setflags(write=True)
        weights += 1.0


def test_a_model_that_goes_bad_is_not_asked_and_loaded_again(tmp_path: Path, old: Path) -> None:
    told = _Told()
    reloader = reloader_of(settings_of(tmp_path), events=told)
    assert reloader.check_golden()
    good = reloader.live.state.champion.model.one(ROW)
    _spoil(reloader.live.state.champion)
    assert not reloader.check_golden()
    assert [state.champion_fault for state in told.states] == [None, "golden_rows", None]
    assert told.golden == [("champion", True), ("champion", False)]
    assert reloader.live.state.champion.model.one(ROW) == good
    assert reloader.check_golden()


def test_a_model_that_went_bad_stays_out_while_its_folder_is_damaged(
    tmp_path: Path, old: Path
) -> None:
    reloader = reloader_of(settings_of(tmp_path))
    _spoil(reloader.live.state.champion)
    flip_one_bit(old / "weights.npz")
    for _ in range(2):
        assert not reloader.check_golden()
        state = reloader.live.state
        assert state.champion_fault == "golden_rows"
        outcome = state.champion.chain.answer([ROW], state.champion_fault)[0]
        assert (outcome.model_used, outcome.reason) == ("fallback_model", "golden_rows")
    flip_one_bit(old / "weights.npz")
    assert reloader.reload().status == "reloaded"
    assert reloader.live.state.champion_fault is None


def test_a_fallback_model_that_goes_bad_is_loaded_again_and_the_champion_still_answers(
    tmp_path: Path, old: Path
) -> None:
    told = _Told()
    reloader = reloader_of(settings_of(tmp_path), events=told)
    fallback = reloader.live.state.champion.fallback
    assert fallback is not None
    for weights in fallback._weights:
        weights.setflags(write=True)
        weights += np.nan
    assert reloader.check_golden()
    assert [state.champion_fault for state in told.states] == [None, None]
    assert reloader.live.state.champion.fallback is not fallback


def test_a_worker_that_starts_while_the_wanted_release_is_damaged_does_as_the_others(
    tmp_path: Path, old: Path, new: Path
) -> None:
    settings = settings_of(tmp_path)
    running = reloader_of(settings)
    flip_one_bit(new / "card.json")
    point(tmp_path, new)
    with pytest.raises(IntegrityError, match=r"card\.json"):
        reloader_of(settings)  # nobody to follow
    watcher = Watcher(settings, running, Experiment(running.live))
    write_state(settings.workers_folder, watcher.state())
    started = reloader_of(settings)
    assert started.live.state.champion.release_id == old.name
    assert started.live.state.champion.version == "7"
    started.follow()
    assert "card.json" in str(started.fault)
