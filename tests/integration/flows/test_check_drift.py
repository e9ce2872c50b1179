"""Flow ``check_drift``: state, artifact, event, trigger, and who is asked to retrain."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedchurn.errors import IntegrityError
from fedchurn.loop.watching import runner
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.places import inbox_folder, retraining_folder
from flows.check_drift import check_drift
from tests.integration.flows.conftest import Prefect
from tests.unit.loop.watching.watched_home import WatchedHome

DEADLINE_SECONDS = 60
EVENTS = {"filter": {"event": {"name": ["fedchurn.drift"]}}}


class Shop(WatchedHome):
    """A watched home, and the flow in it."""

    def check(self) -> Any:
        """The final state of the flow."""
        return check_drift(self.contract, assignments=[f"home={self.folder}"], return_state=True)

    def waiting(self) -> int:
        return len(TriggerInbox(inbox_folder(self.folder, "shop")).pending())

    @property
    def note(self) -> Path:
        """Says that a retrain was asked for."""
        return retraining_folder(self.folder, "shop") / "asked"


@pytest.fixture
def shop(prefect: Prefect, tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def _until(found: Callable[[], list[Any]]) -> list[Any]:
    """What the server has, when it has written it down."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (answer := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


def _events(prefect: Prefect, window_id: str) -> list[Any]:
    found = prefect.ask("events/filter", EVENTS)["events"]
    return [event for event in found if event["payload"]["window_id"] == window_id]


def test_drift_is_a_verdict_with_artifact_event_and_trigger(prefect: Prefect, shop: Shop) -> None:
    shop.log_shifted(0, 200)
    state = shop.check()
    assert (state.type.name, state.name) == ("COMPLETED", "Drift")
    assert "Tenure differs" in state.message
    (window,) = state.result()["windows"]

    shown = prefect.artifact("drift-shop")["data"]
    assert shown.startswith("# Drift in 200 customers: Tenure differs")
    assert "| Tenure | drift | covariate |" in shown
    assert f"(file://{window['report_path']})" in shown
    assert "Generated sample" in shown

    (event,) = _until(lambda: _events(prefect, window["window_id"]))
    assert event["resource"]["prefect.resource.id"] == "fedchurn.contract.shop"
    payload = event["payload"]
    assert (payload["verdict"], payload["columns"]) == ("drift", ["Tenure"])
    assert payload["release"] == shop.release.name

    assert shop.waiting() == 1
    assert not shop.note.exists()  # nobody could be asked, so the next one may ask
    assert shop.check().name == "TooFewRows"


def test_quiet_windows_ask_for_nothing(prefect: Prefect, shop: Shop) -> None:
    shop.log_like_reference(0, 100)
    state = shop.check()
    assert state.name == "Quiet"
    assert _events(prefect, state.result()["windows"][0]["window_id"]) == []
    assert shop.waiting() == 0


def test_a_slight_shift_is_a_warning(shop: Shop) -> None:
    shop.log(shop.predictions(range(200), (1, 1, 1, 0, 0)))
    assert shop.check().name == "Warning"
    assert shop.waiting() == 0


def test_nothing_in_production_is_nothing_to_watch(shop: Shop) -> None:
    (shop.folder / "serving" / "shop.json").unlink()
    assert shop.check().name == "NothingInProduction"


def test_a_release_without_reference_fails(shop: Shop) -> None:
    shop.promote(9, reference={})
    shop.log_shifted(0, 100)
    state = shop.check()
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), IntegrityError)


def test_a_window_that_was_judged_but_not_told_is_told_by_the_next_run(
    prefect: Prefect, shop: Shop
) -> None:
    shop.log_shifted(0, 100)
    judged = runner.judge_window(shop.settings())  # killed here
    assert judged is not None
    state = shop.check()
    assert [w["window_id"] for w in state.result()["windows"]] == [judged["window_id"]]
    assert _until(lambda: _events(prefect, judged["window_id"]))
    assert shop.waiting() == 1


def test_a_retrain_is_asked_for_once_where_it_is_deployed(prefect: Prefect, shop: Shop) -> None:
    flow = prefect.ask("flows/", {"name": "retrain"})
    deployment = prefect.ask("deployments/", {"name": "shop", "flow_id": flow["id"]})
    chosen = {"deployments": {"id": {"any_": [deployment["id"]]}}}
    try:
        for begin in (0, 1000):
            shop.log_shifted(begin, 100)
            assert shop.check().name == "Drift"
        (run,) = prefect.ask("flow_runs/filter", chosen)
        assert run["state_type"] == "SCHEDULED"
        assert shop.note.exists()
        assert shop.waiting() == 2
    finally:
        prefect.delete(f"deployments/{deployment['id']}")
