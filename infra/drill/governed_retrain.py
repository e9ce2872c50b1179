"""From the trigger to answers of a new release: decision, training, promotion, reload."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fedchurn.data.sample_customers import Customer
from fedchurn.retraining.history import Story
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.journal import RetrainJournal
from fedchurn.retraining.places import inbox_folder, journal_path
from fedchurn.retraining.trigger import Source
from infra.drill.beginning import Drill
from infra.drill.prefect_runs import FlowRun
from infra.drill.site import CONTRACT
from infra.drill.traffic import check_answers, send

TRAIN = f"train/{CONTRACT}"
RETRAIN = f"retrain/{CONTRACT}"
NUM_ASKED_AGAIN = 100
PROMOTED = "Promoted"


def stories(drill: Drill) -> tuple[Story, ...]:
    """What the retraining journal tells, in the order in which triggers arrived."""
    return RetrainJournal(journal_path(drill.site.home, CONTRACT)).history().stories


def webhook_told(drill: Drill) -> None:
    """Alertmanager has told the service, and a trigger came of it."""
    with drill.timeline.step("webhook", 60, [drill.service.log]) as step:

        def told() -> list[str]:
            return [f["summary"] for f in _triggers(drill) if f["source"] == Source.ALERT]

        found = step.wait_for(told, "a trigger by the webhook")
        step.saw(found[0] + (f" ({len(found)} in all)" if len(found) > 1 else ""))


def _triggers(drill: Drill) -> list[Mapping[str, Any]]:
    """Triggers that wait, and those that the journal has."""
    inbox = TriggerInbox(inbox_folder(drill.site.home, CONTRACT))
    waiting = [trigger.to_dict() for trigger in inbox.pending()]
    return [*waiting, *(story.trigger.facts for story in stories(drill))]


def retrain_decided(drill: Drill) -> Story:
    """Exactly one trigger leads to a retrain; the others are skipped with reasons."""
    with drill.timeline.step("decision", 90, [drill.site.log("worker")]) as step:

        def decided() -> list[Story]:
            broken = [str(r) for r in drill.prefect.of(RETRAIN) if r.is_broken]
            step.check(not broken, f"a run did not complete: {broken}")
            return [s for s in stories(drill) if s.decision is not None and s.run_key]

        found = step.wait_for(decided, "a decision to retrain")
        step.check(len(found) == 1, f"{len(found)} retrains were decided")
        (story,) = found
        assert story.decision is not None
        others = [s for s in stories(drill) if s.decision is not None and not s.run_key]
        step.saw(
            f"retrain for the {story.trigger.facts['source']} trigger: {_summary(story)};"
            f" {len(others)} others skipped",
            key=story.key,
            run_key=story.run_key,
            decided=story.decision.time,
        )
    return story


def training_begun(drill: Drill, story: Story) -> FlowRun:
    """The journal knows the training that was ordered, and the worker has begun it."""
    with drill.timeline.step("training begun", 60, [drill.site.log("worker")]) as step:

        def started() -> Story | None:
            mine = [s for s in stories(drill) if s.run_key == story.run_key]
            return next((s for s in mine if s.started is not None), None)

        found = step.wait_for(started, "the training is known in the journal")
        assert found.started is not None
        run_id = str(found.started.facts["flow_run_id"])
        step.wait_for(lambda: drill.prefect.find(run_id).has_begun, "the worker has begun it")
        run = drill.prefect.find(run_id)
        step.saw(f"run {run.name} of {TRAIN}", flow_run_id=run.id)
    return run


def promoted(drill: Drill, run: FlowRun) -> str:
    """The new release is in production; gives its id."""
    with drill.timeline.step("promotion", 240, [drill.site.log("worker")]) as step:

        def in_production() -> str | None:
            now = drill.prefect.find(run.id)
            step.check(not now.is_broken, str(now))
            release_id = _in_production(drill)
            over = now.is_over and release_id == drill.first_release
            step.check(not over, f"{now.state_name}: {now.message}")
            return release_id if release_id != drill.first_release else None

        release_id = step.wait_for(in_production, "another release is in production")
        step.saw(f"{drill.first_release} -> {release_id}", release_id=release_id)
    return release_id


def training_over(drill: Drill, run: FlowRun, release_id: str) -> None:
    """The run says so itself, and it was the only one."""
    with drill.timeline.step("training over", 60, [drill.site.log("worker")]) as step:
        ended = drill.prefect.wait_completed(run, step)
        step.check(ended.state_name == PROMOTED, f"{ended.state_name}: {ended.message}")
        step.check(release_id in ended.message, f"it tells of another release: {ended.message}")
        num = len(drill.prefect.of(TRAIN))
        step.check(num == 1, f"{num} runs of {TRAIN}, not one")
        step.saw(f"run {ended.name}: {ended.state_name}, the only run of {TRAIN}")


def _in_production(drill: Drill) -> str:
    pointer = drill.site.home / "serving" / f"{CONTRACT}.json"
    return str(json.loads(pointer.read_text(encoding="utf-8"))["release_id"])


def reloaded(drill: Drill, release_id: str) -> None:
    """Every worker serves it, without a restart."""
    with drill.timeline.step("reload in all workers", 30, [drill.service.log]) as step:
        pids = {worker["pid"] for worker in drill.service.workers()}
        step.wait_for(lambda: drill.service.all_serve(release_id), "all workers serve it")
        now = {worker["pid"] for worker in drill.service.workers()}
        step.check(pids == now, f"workers were restarted: {pids} -> {now}")
        step.saw(f"{len(now)} workers, same processes")


def answered_anew(drill: Drill, release_id: str, drifted: Sequence[Customer]) -> None:
    """The drifted customers are answered by the new release."""
    with drill.timeline.step("answers from the new release", 30, [drill.service.log]) as step:
        answered = send(drill.service, drifted[:NUM_ASKED_AGAIN])
        check_answers(step, answered, release_id)
        step.saw(f"{len(answered.answers)} answers, all by {release_id}", release_id=release_id)


def _summary(story: Story) -> str:
    decision = story.decision
    if decision is None:
        return ""
    checks = decision.facts["checks"]
    failed = [str(check["sentence"]) for check in checks if not check["passed"]]
    return " ".join(failed) or f"all {len(checks)} checks passed"
