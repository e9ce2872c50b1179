"""Customers as they always were, then others: what the drift runner and the monitoring say."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fedchurn.data.sample_customers import Customer, sample_customers
from fedchurn.journal.chain import Line
from fedchurn.loop.watching.verdicts import WindowLine, open_verdicts
from fedchurn.loop.watching.words import listed
from fedchurn.serving.log.log_reader import read_predictions
from infra.drill.beginning import Drill
from infra.drill.drifted import DRIFTED, with_drift
from infra.drill.monitoring import Watchers
from infra.drill.site import CONTRACT
from infra.drill.timeline import Step
from infra.drill.traffic import check_answers, send

NUM_CUSTOMERS = 400  # in each of the two batches
CHECK_DRIFT = f"check-drift/{CONTRACT}"
VERDICT_IS_DRIFT = f'fedchurn_drift_verdict{{contract="{CONTRACT}"}} == 2'
DETECTED = f'data_drift_detected_total{{contract="{CONTRACT}"}} > 0'
# Of the contract's own scenarios, laid over each other.
SCENARIOS = ("tenure_plus_30", "complaints_up", "missing_15")


def normal_traffic(drill: Drill) -> None:
    """Customers as they always were, with what they did; every answer is the model's own."""
    found = sample_customers(drill.contract, NUM_CUSTOMERS, batch=1)
    _traffic(drill, "normal traffic", found)


def no_drift_seen(drill: Drill) -> str:
    """The runner looks at them and is quiet; gives the window's id."""
    with drill.timeline.step("normal traffic is quiet", 90, [drill.site.log("worker")]) as step:
        run = drill.prefect.start(CHECK_DRIFT)
        line = _judged(drill, step, 1)
        step.check(line.verdict == "none", f"verdict {line.verdict}: {line.summary}")
        drill.prefect.wait_completed(run, step)
        _check_status(drill, step, line)
        step.saw(f"verdict none: {line.summary}", window_id=line.window_id)
    return line.window_id


def drifted_traffic(drill: Drill) -> Sequence[Customer]:
    """Other customers, with what they did, for a retrain to learn from."""
    contract = with_drift(drill.contract, SCENARIOS)
    found = sample_customers(contract, NUM_CUSTOMERS, batch=2, scenario=DRIFTED)
    _traffic(drill, "drifted traffic", found)
    return found


def drift_seen(drill: Drill) -> str:
    """The runner looks again, names columns, and leaves a trigger; gives the window's id."""
    with drill.timeline.step("drift seen", 90, [drill.site.log("worker")]) as step:
        drill.prefect.start(CHECK_DRIFT)  # what follows does not wait for the end of the run
        line = _judged(drill, step, 2)
        step.check(line.verdict == "drift", f"verdict {line.verdict}: {line.summary}")
        _check_status(drill, step, line)
        clients = f"; clients: {', '.join(line.clients)}" if line.clients else ""
        step.saw(
            f"verdict drift: {listed(line.drifted)}{clients}",
            window_id=line.window_id,
            drifted=list(line.drifted),
            clients=list(line.clients),
            evidence=list(line.evidence),
        )
    return line.window_id


def metric_seen(drill: Drill, watchers: Watchers) -> None:
    """Prometheus has scraped the verdict."""
    with drill.timeline.step("metric at Prometheus", 30) as step:
        step.wait_for(lambda: watchers.query(VERDICT_IS_DRIFT), VERDICT_IS_DRIFT)
        found = watchers.query(DETECTED)
        names = sorted({labels["feature"] for labels, _ in found})
        step.saw(f"{VERDICT_IS_DRIFT}; counted for {', '.join(names) or 'none'}", features=names)


def alert_fired(drill: Drill, watchers: Watchers) -> None:
    """An alert that asks for a retrain fires, and Alertmanager has it."""
    with drill.timeline.step("alert fired", 60) as step:
        firing = step.wait_for(watchers.firing, "an alert with action=retrain fires")
        step.wait_for(watchers.handed_over, "Alertmanager has it")
        names = sorted({f"{a['alertname']}({a.get('feature', '-')})" for a in firing})
        step.saw(f"{len(firing)} alerts: {', '.join(names)}", alerts=names)


def _traffic(drill: Drill, name: str, found: Sequence[Customer]) -> None:
    with drill.timeline.step(name, 60, [drill.service.log]) as step:
        before = _num_logged(drill)
        answered = send(drill.service, found)
        check_answers(step, answered, drill.first_release)
        step.check(answered.num_labels == len(found), f"{answered.num_labels} labels were taken")
        wanted = before + len(found)
        step.wait_for(lambda: _num_logged(drill) >= wanted, "the log has the predictions")
        left = sum(customer.label for customer in found) / len(found)
        step.saw(
            f"{len(found)} answers, mean probability {answered.mean_probability:.3f};"
            f" {answered.num_labels} labels, share that left {left:.3f}"
        )


def _judged(drill: Drill, step: Step, number: int) -> WindowLine:
    """The line of a window, by its number from 1, when the runner has judged it."""
    verdicts = open_verdicts(drill.site.home / "watch" / CONTRACT)
    lines = step.wait_for(lambda: _at_least(verdicts.lines(), number), f"window {number} is judged")
    line = lines[-1].entry
    step.check(len(lines) == number, f"{len(lines)} windows were judged, not {number}")
    num = line.num_customers
    step.check(num == NUM_CUSTOMERS, f"{num} customers were looked at, not {NUM_CUSTOMERS}")
    return line


def _at_least(lines: tuple[Line[WindowLine], ...], number: int) -> tuple[Line[WindowLine], ...]:
    return lines if len(lines) >= number else ()


def _num_logged(drill: Drill) -> int:
    folder = drill.site.home / "service" / CONTRACT / "predictions"
    return sum(1 for _ in read_predictions(folder))


def _check_status(drill: Drill, step: Step, line: WindowLine) -> None:
    """The service shows the runner's verdict, by whichever worker is asked."""

    def shows() -> bool:
        status, told = drill.service.ask("GET", "/drift-status")
        return status == 200 and line.window_id in json.dumps(told)

    step.wait_for(shows, "/drift-status shows the window")
