"""The order of a drill: what waits for what, and what runs beside it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
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
from infra.drill.site import Site
from infra.drill.timeline import StepFailed, Timeline


def run(site: Site, timeline: Timeline, beside: Executor) -> None:
    """All steps; what fails is in the timeline, and what needed it is left out.

    Args:
        site: where it runs; the caller closes it.
        timeline: takes what was seen.
        beside: two threads at least, for steps that need nothing of the others.
    """
    with suppress(StepFailed):
        drill = begin(site, timeline, beside)
        rows = beside.submit(_tried, lambda: poisoned_rows.poisoned_file(drill))
        clients = beside.submit(_tried, lambda: _hostile_clients(drill, rows))
        _tried(lambda: _loop_and_after(drill, rows))
        clients.result()


def _tried(work: Callable[[], None]) -> None:
    with suppress(StepFailed):
        work()


def _hostile_clients(drill: Drill, rows: Future[None]) -> None:
    rows.result()  # two cores are enough for one of both
    hostile_steps.hostile_clients(drill)


def _loop_and_after(drill: Drill, rows: Future[None]) -> None:
    quiet_and_drift.normal_traffic(drill)
    quiet_and_drift.no_drift_seen(drill)
    rows.result()  # a training under way would be a reason not to retrain
    first, (second, window_id) = drill.first_release, _retrained(drill)
    trigger_storm.send_storm(drill)  # the worker needs seconds for its decisions: in the meantime
    _tried(lambda: release_disasters.corrupt_release(drill, live=second, other=first))
    _tried(lambda: release_disasters.corrupt_pointer(drill, live=second, other=first))
    _tried(lambda: release_disasters.forged_release(drill, live=second))
    _tried(lambda: trigger_storm.storm_skipped(drill))
    _tried(lambda: trigger_storm.linked(drill, window_id, second))
    release_disasters.roll_back(drill, live=second, before=first)


def _retrained(drill: Drill) -> tuple[str, str]:
    """From drifted customers to answers of a new release; gives it, and the drift's window."""
    drifted = quiet_and_drift.drifted_traffic(drill)
    window_id = quiet_and_drift.drift_seen(drill)
    if (watchers := drill.watchers) is not None:
        _tried(lambda: quiet_and_drift.metric_seen(drill, watchers))
        _tried(lambda: quiet_and_drift.alert_fired(drill, watchers))
        _tried(lambda: governed_retrain.webhook_told(drill))
    story = governed_retrain.retrain_decided(drill)
    run = governed_retrain.training_begun(drill, story)
    release_id = governed_retrain.promoted(drill, run)
    governed_retrain.reloaded(drill, release_id)
    governed_retrain.answered_anew(drill, release_id, drifted)
    governed_retrain.training_over(drill, run, release_id)
    return release_id, window_id
