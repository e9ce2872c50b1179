"""A hundred further triggers at once, and what the journal links together afterwards."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from fedchurn.retraining.history import Story
from infra.drill.beginning import Drill
from infra.drill.governed_retrain import RETRAIN, TRAIN, stories
from infra.drill.quiet_and_drift import CHECK_DRIFT
from infra.drill.site import CONTRACT
from infra.drill.timeline import StepFailed

NUM_TRIGGERS = 100
STORM = "DrillStorm"
DEPLOYMENTS = (CHECK_DRIFT, RETRAIN, TRAIN)
WEBHOOK = "/webhook/drift-alert"


def send_storm(drill: Drill) -> None:
    """A hundred alerts that nobody has seen before, in the form in which Alertmanager tells them.

    Raises:
        StepFailed: the webhook did not take them.
    """
    with drill.timeline.step(f"{NUM_TRIGGERS} triggers at once", 60, [drill.service.log]) as step:
        message = _message()
        status, told = drill.service.ask("POST", WEBHOOK, message)
        step.check(status == 200, f"{status}: {told}")
        step.check(told["num_triggers"] == NUM_TRIGGERS, f"told: {told}")
        status, again = drill.service.ask("POST", WEBHOOK, message)
        step.check(again["num_triggers"] == 0, f"the same again: {again}")
        step.saw(f"the webhook took {NUM_TRIGGERS}; sent again, it took none")


def storm_skipped(drill: Drill) -> None:
    """Each has its own decision with its reason, and nothing was trained."""
    logs = [drill.site.log("worker")]
    with drill.timeline.step(f"{NUM_TRIGGERS} explained skips", 90, logs) as step:

        def decided() -> list[Story] | None:
            mine = [s for s in stories(drill) if _is_storm(s) and s.decision is not None]
            return mine if len(mine) >= NUM_TRIGGERS else None

        found = step.wait_for(decided, f"{NUM_TRIGGERS} decisions")
        outcomes = Counter(_outcome(story) for story in found)
        step.check(dict(outcomes) == {"skip": NUM_TRIGGERS}, f"decided: {dict(outcomes)}")
        reasons = Counter(reason for story in found for reason in _reasons(story))
        step.check(all(_reasons(story) for story in found), "a skip without a reason")
        runs = drill.prefect.of(TRAIN)
        step.check(len(runs) == 1, f"{len(runs)} runs of {TRAIN}")
        told = ", ".join(f"{name} {num}" for name, num in reasons.most_common())
        step.saw(f"{NUM_TRIGGERS} skips ({told}); no further training", reasons=dict(reasons))


def linked(drill: Drill, window_id: str, release_id: str) -> None:
    """The journal links the drift window to its decision, run and release."""
    with drill.timeline.step("the journal links them", 90) as step:

        def whole() -> Story | None:
            found = [s for s in stories(drill) if s.run_key and s.outcome is not None]
            return found[0] if found else None

        story = step.wait_for(whole, "the outcome is in the journal")
        decision, run, outcome = story.decision, story.started, story.outcome
        if decision is None or run is None or outcome is None:
            raise StepFailed(f"the story has gaps: {story}")
        facts = {
            "window_id": window_id,
            "key": story.key,
            "run_key": story.run_key,
            "flow_run_id": run.facts["flow_run_id"],
            "release_id": outcome.facts["release_id"],
            "outcome": outcome.facts["outcome"],
        }
        step.check(facts["release_id"] == release_id, f"another release: {facts}")
        about = [s for s in stories(drill) if s.is_about(window_id)]
        step.check(about, f"nothing is about window {window_id}")
        runs = [run for name in DEPLOYMENTS for run in drill.prefect.of(name)]
        bad = [str(run) for run in runs if run.is_broken]
        step.check(not bad, f"runs that did not complete: {bad}")
        step.saw(f"window {window_id} -> run {run.facts['flow_run_name']} -> {release_id}", **facts)


def _message() -> dict[str, Any]:
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    alerts = [
        {
            "status": "firing",
            "labels": {
                "alertname": STORM,
                "action": "retrain",
                "severity": "warning",
                "contract": CONTRACT,
                "feature": f"storm {number}",
            },
            "annotations": {"summary": f"storm {number} of the drill"},
            "startsAt": now,
            "fingerprint": f"{number:016x}",
        }
        for number in range(NUM_TRIGGERS)
    ]
    message = {"version": "4", "groupKey": f'{{}}:{{alertname="{STORM}"}}', "status": "firing"}
    return {**message, "alerts": alerts}


def _is_storm(story: Story) -> bool:
    return STORM in json.dumps(dict(story.trigger.facts))


def _outcome(story: Story) -> str:
    return str(story.decision.facts["outcome"]) if story.decision else ""


def _reasons(story: Story) -> list[str]:
    checks = story.decision.facts["checks"] if story.decision else ()
    return [str(check["name"]) for check in checks if not check["passed"]]
