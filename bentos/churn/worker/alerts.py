"""What a worker does with alerts: keep each one once, and hand on those that ask for a retrain."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bentos.churn.api.parts import AlertsTaken
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.journal_watch import JournalWatch, RetrainingSeen
from fedchurn.retraining.places import inbox_folder, journal_path, retraining_folder
from fedchurn.retraining.prefect_requests import RetrainRequests
from fedchurn.retraining.trigger import triggers_from_alerts
from fedchurn.serving.alerts.alert_journal import AlertJournal
from fedchurn.serving.serving_settings import ServingSettings
from fedchurn.serving.time_text import time_text

logger = logging.getLogger("bentoml.churn.alerts")
MAX_WAITING = 1000  # triggers, or a few more; another would change no decision
_RECOUNT = 20


class AlertSeries(Protocol):
    """Where alerts are counted (``fedchurn.serving.metrics.prometheus_alerts``)."""

    def add(self, num_firing: int, num_resolved: int, num_duplicates: int) -> None: ...

    def watch(self, waiting: Callable[[], int], decided: Callable[[], RetrainingSeen]) -> None: ...


class Alerts:
    """Takes messages of Alertmanager; blocking, for worker threads."""

    def __init__(
        self,
        settings: ServingSettings,
        series: AlertSeries,
        *,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        home, contract = settings.home.resolve(), settings.contract
        self._contract = contract
        self._series = series
        self._max_waiting = max_waiting
        self._journal = AlertJournal(settings.service_folder / "alerts")
        self._inbox = TriggerInbox(inbox_folder(home, contract))
        self._decided = JournalWatch(journal_path(home, contract))
        series.watch(lambda: self._inbox.num_waiting, self._decided.look)
        self._requests = RetrainRequests(
            retraining_folder(home, contract),
            contract,
            settings.prefect_api_url,
            settings.prefect_api_auth,
        )

    @property
    def num_received(self) -> int:
        """Alerts that were ever kept, whichever worker took them."""
        return self._journal.num_received

    @property
    def newest_decision(self) -> Mapping[str, Any] | None:
        """What was decided last about a retrain (``journal_watch.RetrainingSeen.newest``)."""
        return self._decided.look().newest

    def take(self, message: Mapping[str, Any]) -> AlertsTaken:
        """Make triggers of alerts that ask for them, keep all that are new, then ask Prefect.

        Triggers come first: a message that was cut short is sent again, and a trigger that is there
        already stays one, while an alert that is kept already would ask for nothing.

        Raises:
            FedchurnError: the disk does not take them; Alertmanager tries again.
        """
        num_triggers = self._add_triggers(self._mine(message))
        kept = self._journal.add(message, time_text(time.time()))
        self._series.add(kept.num_new - kept.num_resolved, kept.num_resolved, kept.num_duplicates)
        if num_triggers:
            self._requests.ask()
        return AlertsTaken(kept.num_new, kept.num_duplicates, num_triggers)

    def _mine(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """The message without alerts about services of other contracts."""
        return {**message, "alerts": [a for a in message["alerts"] if self._is_mine(a)]}

    def _is_mine(self, alert: Mapping[str, Any]) -> bool:
        labels = alert.get("labels")
        named = labels.get("contract") if isinstance(labels, Mapping) else None
        return named in (None, "", self._contract)

    def _add_triggers(self, message: Mapping[str, Any]) -> int:
        num_added = 0
        for number, trigger in enumerate(triggers_from_alerts(message)):
            if number % _RECOUNT == 0:  # other workers add as well
                most = num_added + self._max_waiting - self._inbox.num_waiting
            if num_added >= most:
                # An alert that lasts is told again; those that wait lead to the same decision.
                logger.warning("%d triggers wait; no more are added", self._max_waiting)
                break
            num_added += self._inbox.add(trigger)
        return num_added
