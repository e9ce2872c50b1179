"""Alertmanager's messages: kept once, made into triggers, asked about once, bounded in a storm."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bentos.churn.api.parts import AlertsTaken
from bentos.churn.api.routes_alerts import MAX_MESSAGES
from bentos.churn.worker.alerts import Alerts
from fedchurn.errors import FedchurnError
from fedchurn.retraining.asking import claim_asking
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.journal import RetrainJournal
from fedchurn.retraining.places import inbox_folder, journal_path, retraining_folder
from fedchurn.serving.metrics.prometheus_alerts import AlertSeries
from fedchurn.serving.metrics.prometheus_families import Families
from fedchurn.serving.serving_settings import ServingSettings
from tests.unit.bentos.prefect_stub import Prefect
from tests.unit.bentos.shipped import Api, shipped_api
from tests.unit.retraining.test_journal_watch import TIME, decision, outcome

START = "2026-03-01T11:59:00.123456789Z"


def alert(name: str, status: str = "firing", start: str = START, **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "DataDriftDetected", "action": "retrain", **labels},
        "annotations": {"summary": "Customers have changed"},
        "startsAt": start,
        "fingerprint": name,
    }


def message(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": '{}/{action="retrain"}:{alertname="DataDriftDetected"}',
        "receiver": "drift-webhook",
        "status": "firing",
        "alerts": list(alerts),
    }


class Place:
    """A home, and who takes alerts there."""

    def __init__(self, home: Path, **more: Any) -> None:
        self.home = home
        self.registry = CollectorRegistry()
        self.settings = ServingSettings(home=home, contract="ecommerce", **more)
        self.inbox = TriggerInbox(inbox_folder(home, "ecommerce"))
        self.alerts = self.worker()

    def worker(self, **more: Any) -> Alerts:
        return Alerts(self.settings, AlertSeries(Families(CollectorRegistry())), **more)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_firing_alert_that_asks_for_it_is_one_trigger(place: Place) -> None:
    sent = message(alert("a"), alert("b", action="none"), alert("c", status="resolved"))
    assert place.alerts.take(sent) == AlertsTaken(num_new=3, num_duplicates=0, num_triggers=1)
    (trigger,) = place.inbox.pending()
    assert trigger.evidence["fingerprint"] == "a"
    assert "Customers have changed" in trigger.summary
    assert place.alerts.num_received == 3


def test_what_is_told_again_is_no_second_trigger(place: Place) -> None:
    place.alerts.take(message(alert("a")))
    assert place.alerts.take(message(alert("a"), alert("b"))) == AlertsTaken(1, 1, 1)
    assert place.worker().take(message(alert("a"))) == AlertsTaken(0, 1, 0)
    ended = message(alert("a", status="resolved"))
    assert place.alerts.take(ended) == AlertsTaken(1, 0, 0)
    anew = message(alert("a", start="2026-03-02T00:00:00Z"))
    assert place.alerts.take(anew) == AlertsTaken(1, 0, 1)
    assert place.inbox.num_waiting == 3


def test_an_alert_about_another_contract_asks_for_nothing_here(place: Place) -> None:
    sent = message(alert("a", contract="telco"), alert("b", contract="ecommerce"))
    assert place.alerts.take(sent) == AlertsTaken(2, 0, 1)
    (trigger,) = place.inbox.pending()
    assert trigger.evidence["fingerprint"] == "b"


def test_a_message_cut_short_after_its_trigger_loses_and_doubles_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr("fedchurn.serving.alerts.alert_journal.AlertJournal.add", killed)
        with pytest.raises(KeyboardInterrupt):
            place.alerts.take(message(alert("a")))
    assert place.worker().take(message(alert("a"))) == AlertsTaken(1, 0, 0)
    assert place.inbox.num_waiting == 1


def test_workers_that_are_told_at_once_make_one_trigger(place: Place) -> None:
    taken: list[AlertsTaken] = []

    def tell(worker: Alerts) -> None:
        taken.extend(worker.take(message(alert(f"{i}"))) for i in range(5))

    threads = [threading.Thread(target=tell, args=(place.worker(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.num_triggers for one in taken) == 5
    assert sum(one.num_new for one in taken) == 5
    assert place.inbox.num_waiting == 5


def test_a_disk_that_refuses_triggers_is_told_and_nothing_counts_as_kept(place: Place) -> None:
    folder = place.home / "retraining"
    folder.write_text("in the way")
    with pytest.raises(FedchurnError, match="cannot be kept"):
        place.alerts.take(message(alert("a")))
    folder.unlink()
    assert place.alerts.take(message(alert("a"))) == AlertsTaken(1, 0, 1)


def test_a_storm_grows_neither_the_inbox_nor_the_journal_without_bound(place: Place) -> None:
    worker = place.worker(max_waiting=20)
    num_triggers = 0
    for storm in range(10):
        alerts = [alert(f"{storm}-{i}", note="x" * 2000) for i in range(1000)]
        num_triggers += worker.take(message(*alerts)).num_triggers
    assert num_triggers == place.inbox.num_waiting == 20
    assert worker.num_received == 10_000
    files = list((place.settings.service_folder / "alerts").iterdir())
    assert sum(file.stat().st_size for file in files) < 2 * (8 + 3) * 2**20


def test_what_was_not_added_for_want_of_room_is_added_when_it_is_told_again(place: Place) -> None:
    worker = place.worker(max_waiting=1)
    sent = message(alert("a"), alert("b"))
    assert worker.take(sent) == AlertsTaken(2, 0, 1)
    place.inbox.done([trigger.key for trigger in place.inbox.pending()])
    assert worker.take(sent) == AlertsTaken(0, 2, 1)


def test_alerts_are_counted(place: Place) -> None:
    registry = CollectorRegistry()
    series = AlertSeries(Families(registry))
    worker = Alerts(place.settings, series)
    assert registry.get_sample_value("fedchurn_alerts_total", {"outcome": "firing"}) == 0
    worker.take(message(alert("a"), alert("b"), alert("c", status="resolved")))
    worker.take(message(alert("a")))
    series.refresh()
    found = {
        outcome: registry.get_sample_value("fedchurn_alerts_total", {"outcome": outcome})
        for outcome in ("firing", "resolved", "duplicate")
    }
    assert found == {"firing": 2, "resolved": 1, "duplicate": 1}
    assert registry.get_sample_value("fedchurn_retraining_triggers_waiting") == 2


def test_what_was_decided_is_shown(place: Place) -> None:
    registry = CollectorRegistry()
    series = AlertSeries(Families(registry))
    worker = Alerts(place.settings, series)
    decided = {"outcome": "retrain"}
    assert registry.get_sample_value("fedchurn_retraining_decisions", decided) == 0
    journal = RetrainJournal(journal_path(place.home, "ecommerce"))
    journal.append(decision("skip"), decision("retrain", "run 1"), outcome("run 1", "failed"))
    series.refresh()
    found = registry.get_sample_value
    assert found("fedchurn_retraining_decisions", decided) == 1
    assert found("fedchurn_retraining_runs", {"outcome": "failed"}) == 1
    at = found("fedchurn_retraining_last_decision_timestamp_seconds")
    assert at == datetime.fromisoformat(TIME).timestamp()
    assert worker.newest_decision is not None
    assert worker.newest_decision["run_outcome"] == "failed"


@pytest.fixture
def prefect() -> Iterator[Callable[..., Prefect]]:
    made: list[Prefect] = []

    def make(status: int = 200) -> Prefect:
        made.append(Prefect(status))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _wait_for_asker() -> None:
    for thread in threading.enumerate():
        if thread.name == "ask-retrain":
            thread.join(timeout=20)


def test_prefect_is_asked_once_for_many_triggers(
    tmp_path: Path, prefect: Callable[..., Prefect]
) -> None:
    server = prefect()
    place = Place(tmp_path, prefect_api_url=server.url, prefect_api_auth="me:secret")
    for number in range(5):
        place.worker().take(message(alert(f"{number}")))
    place.alerts.take(message(alert("0"), alert("z", action="none")))
    _wait_for_asker()
    (looked, created) = server.asked
    basic = "Basic bWU6c2VjcmV0"
    assert looked == ("GET", "/api/deployments/name/retrain/ecommerce", basic, None)
    assert created[:3] == ("POST", "/api/deployments/one/create_flow_run", basic)
    assert list(created[3]) == ["idempotency_key"]


def test_the_claim_is_given_back_when_prefect_refuses(
    tmp_path: Path, prefect: Callable[..., Prefect], caplog: pytest.LogCaptureFixture
) -> None:
    server = prefect(status=404)
    place = Place(tmp_path, prefect_api_url=server.url)
    place.alerts._requests._waits_seconds = (0.0,)
    place.alerts.take(message(alert("a")))
    _wait_for_asker()
    assert len(server.asked) == 2
    assert "waits in the inbox" in caplog.text
    assert place.inbox.num_waiting == 1
    assert claim_asking(retraining_folder(tmp_path, "ecommerce"))


def test_an_attempt_that_failed_is_repeated_with_the_same_key(
    tmp_path: Path, prefect: Callable[..., Prefect]
) -> None:
    server = prefect(status=503)
    place = Place(tmp_path, prefect_api_url=server.url)
    place.alerts._requests._waits_seconds = (0.5,)
    place.alerts.take(message(alert("a")))
    while not server.asked:
        time.sleep(0.01)
    server.status = 200
    _wait_for_asker()
    assert [method for method, *_ in server.asked] == ["GET", "GET", "POST"]
    assert not claim_asking(retraining_folder(tmp_path, "ecommerce"))


def test_without_prefect_the_trigger_waits(place: Place) -> None:
    place.alerts.take(message(alert("a")))
    assert place.inbox.num_waiting == 1
    assert claim_asking(retraining_folder(place.home, "ecommerce"))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = shipped_api(tmp_path_factory.mktemp("home"), "ecommerce")
    yield made
    made.close()


def test_the_answer_says_what_became_of_the_message(api: Api) -> None:
    sent = message(alert("a"), alert("b", action="none"))
    answer = api.post("/webhook/drift-alert", json=sent).json()
    assert answer.pop("timestamp")
    expected = {"status": "received", "num_alerts": 2, "num_new": 2}
    assert answer == {**expected, "num_duplicates": 0, "num_triggers": 1}
    told = api.get("/drift-status").json()
    assert (told["num_alerts_received"], told["retraining"]) == (2, None)


def test_a_storm_does_not_hold_up_other_answers(api: Api) -> None:
    """More messages than are taken at once: some are told to come again, others go on."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        num_received = 0
        newest_decision = None

        def take(self, _: Any) -> AlertsTaken:
            begun.set()
            assert go_on.wait(timeout=20)
            return AlertsTaken(0, 0, 0)

    before = api.parts
    api.change(alerts=Slow())
    sent = json.dumps(message(alert("a"))).encode()

    async def storm() -> tuple[list[int], int, str]:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:

            async def tell() -> httpx.Response:
                return await client.post("/webhook/drift-alert", content=sent)

            told = [asyncio.create_task(tell()) for _ in range(MAX_MESSAGES + 3)]
            while not begun.is_set():
                await asyncio.sleep(0.01)
            meanwhile = (await client.get("/drift-status")).status_code
            go_on.set()
            answers = await asyncio.gather(*told)
        waits = {a.headers["retry-after"] for a in answers if a.status_code == 503}
        return sorted(a.status_code for a in answers), meanwhile, ",".join(waits)

    statuses, meanwhile, waits = asyncio.run(storm())
    api.parts = before
    assert statuses == [200] * MAX_MESSAGES + [503] * 3
    assert (meanwhile, waits) == (200, "5")
