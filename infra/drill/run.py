"""The order of a drill: what waits for what, and what runs beside it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from infra.drill import (
    governed_retrain,
    hostile_steps,
    poisoned_rows,
    quiet_and_drift,
    release_disasters,
    trigger_storm,
)
from infra.drill.beginning import Drill, begin
from infra.drill.monitoring import Watchers, start_watchers
from infra.drill.service import make_keys
from infra.drill.site import Site
from infra.drill.timeline import StepFailed, Timeline
from infra.monitoring import programs

MONITORED = ("metric at Prometheus", "alert fired", "webhook")
NOT_INSTALLED = "NOT SHOWN: prometheus or prometheus-alertmanager is not installed"


def run(site: Site, timeline: Timeline, beside: ThreadPoolExecutor) -> None:
    """All steps; what fails is in the timeline, and what needed it is left out.

    Args:
        site: where it runs; the caller closes it.
        timeline: takes what was seen.
        beside: for steps that need nothing of the others.
    """
    with suppress(StepFailed):
        drill = begin(site, timeline, make_keys())
        watchers = _watchers(drill)
        rows = beside.submit(_tried, lambda: poisoned_rows.poisoned_file(drill))
        clients = beside.submit(_tried, lambda: hostile_steps.hostile_clients(drill))
        with suppress(StepFailed):
            _loop_and_after(drill, watchers, rows)
        clients.result()


def _tried(work: Callable[[], None]) -> None:
    with suppress(StepFailed):
        work()


def _watchers(drill: Drill) -> Watchers | None:
    """Prometheus and Alertmanager, or None with a loud word where they are not installed."""
    if not programs.are_installed():
        for name in MONITORED:
            drill.timeline.not_run(name, NOT_INSTALLED)
        return None
    with drill.timeline.step("monitoring up", 60) as step:
        watchers = start_watchers(drill.site, drill.service)
        step.wait_for(lambda: watchers.query("up == 1"), "Prometheus scrapes the service")
        step.saw("Prometheus scrapes every second, Alertmanager tells the webhook")
    return watchers


def _loop_and_after(drill: Drill, watchers: Watchers | None, rows: Future[None]) -> None:
    quiet_and_drift.normal_traffic(drill)
    quiet_and_drift.no_drift_seen(drill)
    rows.result()  # a training under way would be a reason not to retrain
    first, (second, window_id) = drill.first_release, _retrained(drill, watchers)
    trigger_storm.send_storm(drill)  # the worker needs seconds for its decisions: in the meantime
    _tried(lambda: release_disasters.corrupt_release(drill, live=second, other=first))
    _tried(lambda: release_disasters.corrupt_pointer(drill, live=second, other=first))
    _tried(lambda: release_disasters.forged_release(drill, live=second))
    _tried(lambda: trigger_storm.storm_skipped(drill))
    _tried(lambda: trigger_storm.linked(drill, window_id, second))
    release_disasters.roll_back(drill, live=second, before=first)


def _retrained(drill: Drill, watchers: Watchers | None) -> tuple[str, str]:
    """From drifted customers to answers of a new release; gives it, and the drift's window."""
    drifted = quiet_and_drift.drifted_traffic(drill)
    window_id = quiet_and_drift.drift_seen(drill)
    if watchers is not None:
        _tried(lambda: quiet_and_drift.metric_seen(drill, watchers))
        _tried(lambda: quiet_and_drift.alert_fired(drill, watchers))
        _tried(lambda: governed_retrain.webhook_told(drill))
    story = governed_retrain.retrain_decided(drill)
    release_id = governed_retrain.promoted(drill, governed_retrain.trained(drill, story))
    governed_retrain.reloaded(drill, release_id)
    governed_retrain.answered_anew(drill, release_id, drifted)
    return release_id, window_id
