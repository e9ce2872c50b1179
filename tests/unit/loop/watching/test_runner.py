"""Runs of the drift runner: windows, verdicts, what is told, and where it goes on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fedchurn.drift.promise.calibration import CalibratedWindow, Calibration
from fedchurn.errors import BusyError, IntegrityError, ReleaseError, WatchError
from fedchurn.loop.one_run import one_run
from fedchurn.loop.watching import runner
from fedchurn.loop.watching.places import read_claim, read_watermark
from fedchurn.loop.watching.runner import WORK, check_drift
from fedchurn.loop.watching.verdicts import open_verdicts
from fedchurn.loop.watching.window_folder import forget_old_windows
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.places import inbox_folder
from fedchurn.serving.drift_file import read_newest
from fedchurn.serving.time_text import time_text
from tests.unit.loop.watching.watched_home import REFERENCE, WatchedHome


@pytest.fixture
def home(tmp_path: Path) -> WatchedHome:
    return WatchedHome(tmp_path)


def _journal(home: WatchedHome) -> list[Any]:
    return [line.entry for line in open_verdicts(home.watch).lines()]


def _triggers(home: WatchedHome) -> list[Any]:
    return list(TriggerInbox(inbox_folder(home.folder, "shop")).pending())


def test_quiet_customers_are_no_drift(home: WatchedHome) -> None:
    home.log_like_reference(0, 200)
    found = check_drift(home.settings())
    assert (found["outcome"], found["contract"]) == ("none", "shop")
    (window,) = found["windows"]
    assert (window["num_customers"], window["num_predictions"]) == (200, 200)
    assert window["summary"].startswith("No drift in 200 customers: 3 columns")
    assert _triggers(home) == []


def test_a_shift_is_drift_told_journalled_and_triggered(home: WatchedHome) -> None:
    home.log_shifted(0, 200)
    found = check_drift(home.settings())
    (window,) = found["windows"]
    assert (found["outcome"], window["drifted"]) == ("drift", ["Tenure"])
    assert window["evidence"][0] == "covariate"
    told = home.told
    assert (told["window_id"], told["made_by"]) == (window["window_id"], "runner")
    assert told["drift_detected"] is True
    assert told["verdict"] == json.loads(json.dumps(window["drift"]))
    assert told["release"] == home.release.name
    assert told["report_path"] == window["report_path"]
    (line,) = _journal(home)
    assert (line.window_id, line.verdict, line.drifted) == (
        window["window_id"],
        "drift",
        ("Tenure",),
    )
    (trigger,) = _triggers(home)
    assert (trigger.key, trigger.source) == (f"window-{window['window_id']}", "drift")
    assert trigger.release_id == home.release.name
    assert trigger.evidence["columns"] == ["Tenure"]
    assert trigger.evidence["subjects"] == window["evidence"]


def test_rows_are_judged_once(home: WatchedHome) -> None:
    home.log_shifted(0, 200)
    assert len(check_drift(home.settings())["windows"]) == 1
    again = check_drift(home.settings())
    assert (again["outcome"], again["windows"]) == ("too_few_rows", [])
    assert len(_journal(home)) == len(_triggers(home)) == 1


def test_too_few_customers_wait_for_more(home: WatchedHome) -> None:
    home.log_like_reference(0, 49)
    found = check_drift(home.settings())
    assert (found["outcome"], found["windows"]) == ("too_few_rows", [])
    assert "a window needs (50 at least)" in found["summary"]
    assert read_watermark(home.watch) == {}
    home.log_like_reference(100, 1)
    (window,) = check_drift(home.settings())["windows"]
    assert window["num_customers"] == 50


def test_a_window_has_the_rows_that_the_releases_own_thresholds_need(home: WatchedHome) -> None:
    calibration = Calibration(
        promised_per_year=1.0,
        checks_per_year=365.25,
        num_flagged=2,
        num_windows=3,
        min_rows=80,
        power=0.8,
        num_resampled=100,
        windows=(CalibratedWindow(80, 0.01, 0.05, 0.1, 1.0),),
    )
    home.promote(9, reference={**REFERENCE, "calibration": calibration.to_dict()})
    home.log_like_reference(0, 60)
    assert check_drift(home.settings())["windows"] == []
    home.log_like_reference(100, 20)
    (found,) = check_drift(home.settings())["windows"]
    assert (found["verdict"], found["num_customers"]) == ("none", 80)


def test_the_same_customers_again_and_again_wait_until_the_window_is_full(
    home: WatchedHome,
) -> None:
    settings = home.settings("drift.max_window_rows=100")
    home.log_like_reference(0, 99, customer_id="C1")
    assert check_drift(settings)["windows"] == []
    home.log_like_reference(200, 60)
    first, second = check_drift(settings)["windows"]
    assert (first["verdict"], first["num_customers"]) == ("too_few_rows", 2)
    assert first["num_predictions"] == 100
    assert (second["verdict"], second["num_customers"]) == ("none", 59)


def test_a_backlog_is_several_windows_and_a_run_makes_only_so_many(
    home: WatchedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "MAX_WINDOWS", 2)
    settings = home.settings("drift.max_window_rows=60")
    home.log_like_reference(0, 210)
    sizes = [[w["num_customers"] for w in check_drift(settings)["windows"]] for _ in range(3)]
    assert sizes == [[60, 60], [60], []]  # 30 wait
    assert len({line.window_id for line in _journal(home)}) == 3


def test_flags_of_earlier_windows_of_the_same_release_count(home: WatchedHome) -> None:
    def slightly(begin: int) -> None:
        home.log(home.predictions(range(begin, begin + 200), (1, 1, 1, 0, 0)))

    found = []
    for begin in (0, 1000):
        slightly(begin)
        (window,) = check_drift(home.settings())["windows"]
        found.append((window["verdict"], window["flagged"]))
    assert found == [("warning", ["Tenure"]), ("drift", ["Tenure"])]
    home.promote(8)
    slightly(2000)
    (window,) = check_drift(home.settings())["windows"]
    assert (window["verdict"], window["release"]) == ("warning", home.release.name)


def test_the_same_customers_again_are_no_persistence(home: WatchedHome) -> None:
    for _ in range(3):
        home.log(home.predictions(range(200), (1, 1, 1, 0, 0)))
        (window,) = check_drift(home.settings())["windows"]
        assert (window["verdict"], window["flagged"]) == ("warning", ["Tenure"])


def test_predictions_of_other_releases_are_left_out_and_consumed(home: WatchedHome) -> None:
    home.log_shifted(0, 100)
    home.promote(8)
    home.log_like_reference(1000, 100)
    (window,) = check_drift(home.settings())["windows"]
    assert (window["num_customers"], window["others"]) == (100, {"other_release": 100})
    assert window["verdict"] == "none"
    assert check_drift(home.settings())["windows"] == []


def test_one_of_two_clients_is_named(home: WatchedHome) -> None:
    phones, computers = (1.0, 1.0, "Phone", "Graz"), (0.0, 1.0, "Computer", "Graz")
    home.log(home.predictions(range(100), (0,), values=phones))
    home.log(home.predictions(range(200, 300), (0,), values=computers))
    home.log(home.predictions(range(300, 400), (0,), values=(1.0, *computers[1:])))
    home.log(home.predictions(range(400, 500), (0,), values=phones))
    (window,) = check_drift(home.settings())["windows"]
    assert window["clients"] == ["Device=Phone"]
    assert window["extent"] == "some"
    assert "Device=Phone (Tenure)" in window["summary"]


def test_nothing_in_production_says_what_to_do(tmp_path: Path) -> None:
    home = WatchedHome(tmp_path)
    (tmp_path / "serving" / "shop.json").unlink()
    assert not runner.has_production(home.settings())
    with pytest.raises(ReleaseError, match="no release of contract 'shop' is in production"):
        check_drift(home.settings())


def test_a_release_without_a_reference_is_named(home: WatchedHome) -> None:
    home.promote(9, reference={})
    home.log_like_reference(0, 60)
    with pytest.raises(IntegrityError, match="no reference for drift"):
        check_drift(home.settings())
    # Its rows are not claimed, so the runner goes on with the next release.
    home.promote(10)
    home.log_like_reference(100, 60)
    (window,) = check_drift(home.settings())["windows"]
    assert window["others"] == {"other_release": 60}


def test_a_changed_file_of_the_runner_is_named(home: WatchedHome) -> None:
    home.log_like_reference(0, 60)
    home.watch.mkdir(parents=True)
    for name in ("claim.json", "watermark.json"):
        path = home.watch / name
        for text in ("{", "[]", '{"a": "b"}'):
            path.write_text(text)
            with pytest.raises(WatchError) as caught:
                check_drift(home.settings())
            assert caught.value.where == str(path)
        path.unlink()
    assert len(check_drift(home.settings())["windows"]) == 1


def test_two_runs_at_once_are_one(home: WatchedHome) -> None:
    with one_run(home.settings(), work=WORK), pytest.raises(BusyError):
        check_drift(home.settings())


def test_a_claim_of_a_release_that_is_gone_is_given_up(
    home: WatchedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.log_shifted(0, 100)
    monkeypatch.setattr(runner, "kept_window", lambda *_: (_ for _ in ()).throw(KeyError))
    with pytest.raises(KeyError):
        check_drift(home.settings())
    monkeypatch.undo()
    assert read_claim(home.watch) is not None
    (home.release / "weights.npz").unlink()
    home.promote(8)
    home.log_like_reference(1000, 60)
    (window,) = check_drift(home.settings())["windows"]
    assert (window["release"], window["others"]) == (home.release.name, {"other_release": 100})


def test_a_newer_verdict_is_not_replaced(home: WatchedHome) -> None:
    service = home.folder / "service" / "shop"
    service.mkdir(parents=True)
    newer = {"timestamp": time_text(time.time() + 600), "window_id": None}
    (service / "drift.json").write_text(json.dumps(newer))
    home.log_shifted(0, 100)
    check_drift(home.settings())
    assert read_newest(service) == newer


def test_a_verdict_by_a_clock_that_was_far_ahead_is_replaced(home: WatchedHome) -> None:
    service = home.folder / "service" / "shop"
    service.mkdir(parents=True)
    (service / "drift.json").write_text(json.dumps({"timestamp": "2999-01-01T00:00:00.000Z"}))
    home.log_shifted(0, 100)
    (window,) = check_drift(home.settings())["windows"]
    assert read_newest(service)["window_id"] == window["window_id"]


def test_the_rule_of_reference_systems_by_name(home: WatchedHome) -> None:
    home.log_shifted(0, 120)
    found = check_drift(home.settings("drift.rule=online"))
    assert [w["num_customers"] for w in found["windows"]] == [50, 50]
    rule = found["windows"][0]["drift"]["rule"]
    assert (rule["name"], rule["level"]) == ("online", 0.05)
    assert found["windows"][0]["drifted"] == ["Tenure"]


def test_only_the_newest_windows_are_kept(home: WatchedHome) -> None:
    settings = home.settings("drift.max_window_rows=50")
    home.log_like_reference(0, 200)
    found = [window["window_id"] for window in check_drift(settings)["windows"]]
    forget_old_windows(home.watch, max_kept=2)
    assert sorted(p.name for p in (home.watch / "windows").iterdir()) == sorted(found[-2:])
    assert len(_journal(home)) == 4
    home.log_like_reference(1000, 50)
    assert len(check_drift(settings)["windows"]) == 1  # histograms of some before are gone


def test_every_run_leaves_a_sign_of_life(home: WatchedHome) -> None:
    check_drift(home.settings())
    told = json.loads((home.watch / "last_run.json").read_text())
    assert (told["outcome"], told["windows"]) == ("too_few_rows", [])
