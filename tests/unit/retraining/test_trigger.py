"""What Alertmanager's message asks for."""

from __future__ import annotations

from typing import Any

import pytest

from fedchurn.errors import RetrainingError
from fedchurn.retraining.trigger import Source, Trigger, triggers_from_alerts
from tests.unit.retraining.events import drift

# As Alertmanager 0.25 sends it, shortened.
ALERT: dict[str, Any] = {
    "status": "firing",
    "labels": {"action": "retrain", "alertname": "DataDrift", "contract": "ecommerce"},
    "annotations": {"summary": "Tenure drifted", "description": "for an hour"},
    "startsAt": "2026-03-01T13:00:00.123456789+01:00",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://localhost:9090/graph",
    "fingerprint": "e2f1a7c1b0c5d8aa",
}


def message(*alerts: Any, group: str = '{}:{alertname="DataDrift"}') -> dict[str, Any]:
    return {"version": "4", "groupKey": group, "status": "firing", "alerts": list(alerts)}


def only(told: dict[str, Any]) -> Trigger:
    (trigger,) = triggers_from_alerts(told)
    return trigger


def test_a_firing_alert_that_asks_for_it_is_a_trigger() -> None:
    trigger = only(message(ALERT))
    assert trigger.source is Source.ALERT
    assert trigger.summary == "Alert DataDrift: Tenure drifted"
    assert trigger.time == "2026-03-01T12:00:00.123456+00:00"
    assert trigger.evidence["labels"]["contract"] == "ecommerce"
    assert Trigger.from_dict(trigger.to_dict()) == trigger


def test_others_are_passed_over() -> None:
    resolved = {**ALERT, "status": "resolved"}
    other = {**ALERT, "labels": {"alertname": "HighLatency"}}
    assert triggers_from_alerts(message(resolved, other)) == ()


def test_a_key_is_of_one_firing_of_one_alert_in_one_group() -> None:
    again = {**ALERT, "annotations": {}, "endsAt": "2026-03-01T14:00:00Z"}
    assert only(message(ALERT)).key == only(message(again)).key
    keys = {
        only(message(ALERT)).key,
        only(message(ALERT, group="other")).key,
        only(message({**ALERT, "fingerprint": "ff"})).key,
        only(message({**ALERT, "startsAt": "2026-03-02T13:00:00Z"})).key,
    }
    assert len(keys) == 4


def test_without_a_fingerprint_labels_tell_alerts_apart() -> None:
    bare = {name: value for name, value in ALERT.items() if name != "fingerprint"}
    other = {**bare, "labels": {**ALERT["labels"], "client": "north"}}
    assert len({t.key for t in triggers_from_alerts(message(bare, other))}) == 2


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"alerts": None},
        {"alerts": "firing"},
        message(None, 3, {}, {"status": "firing", "labels": ["action"]}),
    ],
    ids=["empty", "null", "text", "no alerts"],
)
def test_what_is_no_message_asks_for_nothing(broken: dict[str, Any]) -> None:
    assert triggers_from_alerts(broken) == ()


def test_a_time_that_cannot_be_read_is_now() -> None:
    assert only(message({**ALERT, "startsAt": "soon"})).time.endswith("+00:00")


@pytest.mark.parametrize("wrong", [{"key": ""}, {"time": "2026-03-01T12:00:00"}, {"time": "soon"}])
def test_a_trigger_without_key_or_time_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(RetrainingError):
        drift(**wrong)


@pytest.mark.parametrize("stored", [{}, {"key": "k"}, {**drift().to_dict(), "source": "dream"}])
def test_what_is_no_trigger_is_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(RetrainingError, match="no trigger"):
        Trigger.from_dict(stored)
