"""Why somebody thinks that a model should be trained anew: one record per event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from fedchurn.errors import RetrainingError

RETRAIN_ACTION = "retrain"  # value of the label ``action`` of alerts that ask for a retrain


class Source(StrEnum):
    """Who asks."""

    DRIFT = "drift"  # a drift verdict
    DECAY = "decay"  # labels that came back: the model is worse than it was
    ALERT = "alert"  # Prometheus, through Alertmanager
    MANUAL = "manual"  # a person
    SCHEDULE = "schedule"


@dataclass(frozen=True)
class Trigger:
    """One event that may lead to a retrain.

    Attributes:
        key: equal keys mean the same event, told again.
        source: who asks.
        time: when it happened, ISO 8601 with a UTC offset.
        summary: what happened, in one sentence.
        release_id: the release that it is about, or "" when that is not known.
        evidence: JSON-ready facts, such as ``window_id``, ``columns``, ``clients``, ``labels``.
            Of drift, ``subjects`` (``Subject`` values of what drifted) says what can help.

    Raises:
        RetrainingError: the key is empty, or ``time`` is no such time.
    """

    key: str
    source: Source
    time: str
    summary: str
    release_id: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.key:
            raise RetrainingError("a trigger needs a key, so that it counts once")
        moment(self.time)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; ``from_dict`` reads it."""
        return {**self.__dict__, "source": self.source.value, "evidence": dict(self.evidence)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Trigger:
        """The trigger behind ``to_dict``.

        Raises:
            RetrainingError: it is not one.
        """
        try:
            return cls(**{**stored, "source": Source(stored["source"])})
        except (KeyError, TypeError, ValueError) as error:
            raise RetrainingError(f"this is no trigger: {stored!r:.200}") from error


def moment(time: str) -> datetime:
    """The instant behind an ISO 8601 time.

    Raises:
        RetrainingError: not such a time, or one without a UTC offset.
    """
    try:
        parsed = datetime.fromisoformat(time)
    except (TypeError, ValueError):
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise RetrainingError(
            f"{time!r} is not a time with a UTC offset",
            next_step="write it like 2026-03-01T12:00:00+00:00",
        )
    return parsed


def triggers_from_alerts(message: Mapping[str, Any]) -> tuple[Trigger, ...]:
    """What Alertmanager's webhook message asks for: its firing alerts with ``action: retrain``.

    The key is of group, fingerprint and start, so an alert that is delivered again is the same
    event, and one that was resolved and fires again is another.

    Args:
        message: the JSON body as Alertmanager sends it (version 4); what is not of that form is
            passed over.
    """
    return tuple(_asking(message))


def _asking(message: Mapping[str, Any]) -> Iterator[Trigger]:
    alerts = message.get("alerts")
    for alert in alerts if isinstance(alerts, list) else []:
        if not isinstance(alert, Mapping) or alert.get("status") != "firing":
            continue
        labels, notes = _texts(alert.get("labels")), _texts(alert.get("annotations"))
        if labels.get("action") == RETRAIN_ACTION:
            yield _of_alert(str(message.get("groupKey", "")), alert, labels, notes)


def _of_alert(
    group: str, alert: Mapping[str, Any], labels: dict[str, str], notes: dict[str, str]
) -> Trigger:
    starts, fingerprint = str(alert.get("startsAt", "")), str(alert.get("fingerprint", ""))
    # Alertmanager always sends a fingerprint; labels are what it is made of.
    identity = fingerprint or json.dumps(labels, sort_keys=True)
    name = labels.get("alertname", "an alert")
    return Trigger(
        key=hashlib.sha256(f"{group}|{identity}|{starts}".encode()).hexdigest(),
        source=Source.ALERT,
        time=_start(starts),
        summary=f"Alert {name}: {notes.get('summary') or notes.get('description') or 'fires'}",
        release_id=labels.get("release_id") or labels.get("release", ""),
        evidence={
            "alert": name,
            "labels": labels,
            "annotations": notes,
            "fingerprint": fingerprint,
            "group": group,
            "generator": str(alert.get("generatorURL", "")),
        },
    )


def _start(text: str) -> str:
    """Alertmanager's time in UTC; now, where it sends none that can be read."""
    try:
        return moment(text).astimezone(UTC).isoformat()
    except RetrainingError:
        return datetime.now(UTC).isoformat()


def _texts(found: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}
