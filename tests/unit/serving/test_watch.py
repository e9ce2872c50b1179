"""The watcher keeps a worker up to date, survives every error, and ends when it is told to."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fedchurn.errors import ReleaseError
from fedchurn.serving.experiment.experiment import Experiment
from fedchurn.serving.reload import watch
from fedchurn.serving.reload.reloader import Reloader
from fedchurn.serving.reload.watch import Watcher
from fedchurn.serving.reload.worker_states import worker_states
from tests.unit.release.releases import parts
from tests.unit.serving.homes import flip_one_bit, point, released, reloader_of, settings_of


def _watcher(home: Path, **changes: float) -> tuple[Watcher, Reloader]:
    settings = settings_of(home, **changes)
    reloader = reloader_of(settings)
    return Watcher(settings, reloader, Experiment(reloader.live)), reloader


def _wait_for(event: threading.Event) -> None:
    assert event.wait(30)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    point(tmp_path, released(tmp_path))
    return tmp_path


def test_it_says_what_is_served_and_takes_itself_off(home: Path) -> None:
    watcher, _ = _watcher(home, reload_interval_seconds=3600)
    watcher.start()
    workers = settings_of(home).workers_folder
    assert worker_states(workers) == (watcher.state(),)
    new = released(home, parts(seed=8))
    point(home, new, version="8")
    watcher.look()
    (state,) = worker_states(workers)
    assert (state.release, state.version) == (new.name, "8")
    assert state.last_reload is not None
    assert state.last_reload["status"] == "reloaded"
    flip_one_bit(new / "card.json")
    point(home, released(home), release_id="other")
    watcher.look()
    (state,) = worker_states(workers)
    assert state.release == new.name
    assert "it names release other" in str(state.reload_fault)
    watcher.stop()
    assert worker_states(workers) == ()


def test_it_stops_while_it_waits_for_its_next_look(home: Path) -> None:
    watcher, _ = _watcher(home, reload_interval_seconds=3600)
    watcher.start()
    stopping = threading.Thread(target=watcher.stop)
    stopping.start()
    stopping.join(30)
    assert not stopping.is_alive()


def test_a_watcher_that_never_started_can_be_stopped(home: Path) -> None:
    _watcher(home)[0].stop()


def test_an_error_of_any_kind_does_not_end_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, reloader = _watcher(home, reload_interval_seconds=0.001)
    failed, went_on = threading.Event(), threading.Event()
    true_follow = reloader.follow

    def follow() -> object:
        if watcher.num_errors < 3:
            raise MemoryError
        failed.set()
        went_on.set()
        return true_follow()

    monkeypatch.setattr(reloader, "follow", follow)
    watcher.start()
    _wait_for(went_on)
    watcher.stop()
    assert watcher.num_errors == 3
    assert watcher.watch_seconds > 0


def test_it_looks_again_and_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, reloader = _watcher(home, reload_interval_seconds=0.001)
    new = released(home, parts(seed=8))
    swapped = threading.Event()
    true_swap = reloader.live.swap

    def swap(state: object) -> None:
        true_swap(state)  # type: ignore[arg-type]
        swapped.set()

    monkeypatch.setattr(reloader.live, "swap", swap)
    watcher.start()
    point(home, new)
    _wait_for(swapped)
    watcher.stop()
    assert reloader.live.state.champion.release_id == new.name


@pytest.mark.parametrize(("seconds", "checked"), [(0.0, 0), (1e-9, 2), (3600.0, 0)])
def test_golden_rows_are_computed_when_they_are_due(
    home: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, checked: int
) -> None:
    watcher, reloader = _watcher(home, golden_interval_seconds=seconds)
    calls: list[None] = []
    monkeypatch.setattr(reloader, "check_golden", lambda: calls.append(None))
    watcher.look()
    watcher.look()
    assert len(calls) == checked


def test_a_state_is_written_when_it_changes_and_as_a_sign_of_life(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, _ = _watcher(home)
    written: list[object] = []
    monkeypatch.setattr(watch, "write_state", lambda _, state: written.append(state))
    for _ in range(3):
        watcher.look()
    assert len(written) == 1
    monkeypatch.setattr(watch, "ALIVE_SECONDS", 0.0)
    watcher.look()
    assert len(written) == 2


def test_a_folder_that_cannot_be_written_does_not_stop_the_service(home: Path) -> None:
    settings = settings_of(home)
    settings.service_folder.mkdir(parents=True)
    settings.workers_folder.write_text("no folder")
    watcher, reloader = _watcher(home)
    watcher.start()
    new = released(home, parts(seed=8))
    point(home, new)
    watcher.look()
    watcher.stop()
    assert reloader.live.state.champion.release_id == new.name
    assert watcher.num_errors == 0


def test_a_service_without_a_release_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is in production"):
        _watcher(tmp_path)
