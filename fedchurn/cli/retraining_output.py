"""Runs the retrain flow in this process and tells people what was decided, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fedchurn.cli.training_output import OnRound, run_embedded
from fedchurn.loop.retraining.site import retrain_site
from fedchurn.settings import Settings


def run_retrain_flow(
    settings: Settings,
    reason: str | None,
    *,
    force: bool,
    config: str | None,
    assignments: list[str],
) -> dict[str, Any]:
    """The retrain flow, embedded: on the Prefect server of ``PREFECT_API_URL`` if that is set.

    Returns:
        The flow's outcome, and ``pending``: triggers that still wait.
    """
    asked = {
        "contract": settings.contract,
        "reason": reason,
        "force": force,
        "config": config,
        "assignments": assignments,
    }

    def start(tell: OnRound) -> dict[str, Any]:
        from flows.retrain import retrain_embedded  # Prefect reads its settings when imported

        return retrain_embedded(settings.home, asked, tell)

    outcome = run_embedded(settings, start)
    pending = retrain_site(settings).inbox().pending()
    return {**outcome, "pending": [trigger.to_dict() for trigger in pending]}


def tell_outcome(outcome: dict[str, Any]) -> None:
    """Every decision with every check, then every run."""
    tell_stories(outcome["decisions"])
    told = {story["decision"]["run_key"] for story in outcome["decisions"]}
    for story in outcome["runs"]:
        if story["decision"]["run_key"] in told:
            _tell_run(story)
        else:
            tell_stories([story])  # left open by an earlier retrain
    print(f"{outcome['outcome'].upper()}: {outcome['summary']}")
    if outcome["outcome"] == "nothing":
        print("  next: give --reason TEXT to ask for a retrain by hand")
    for trigger in outcome["pending"]:
        print(f"  waits: {trigger['summary']}")


def tell_stories(stories: Iterable[dict[str, Any]]) -> None:
    """What led to what: trigger, decision with its checks, run, outcome."""
    for story in stories:
        trigger, decision = story["trigger"], story.get("decision")
        window = trigger["evidence"].get("window_id")
        place = f" (window {window})" if window else ""
        print(f"{trigger['time']}  {trigger['source']:12} {trigger['summary']}{place}")
        if decision is None:
            continue
        print(f"{decision['time']}  {decision['outcome']:12} {decision['summary']}")
        for check in decision["checks"]:
            print(f"    {_verdict(check)}: {check['sentence']}")
        _tell_run(story)


def _tell_run(story: dict[str, Any]) -> None:
    if "run" in story:
        run = story["run"]
        print(f"{run['time']}  {'run':12} {run['run_key']}, by {run['place']}")
        print(f"    {run['data']['story']}")
    if "started" in story:
        name = story["started"]["flow_run_name"]
        print(f"{story['started']['time']}  {'started':12} {name}")
    if "outcome" in story:
        end = story["outcome"]
        release = f"{end['release_id']} (version {end['version']}): " if end["release_id"] else ""
        print(f"{end['time']}  {end['outcome']:12} {release}{end['summary']}")


def _verdict(check: dict[str, Any]) -> str:
    if check["passed"]:
        return "passed"
    return "FORCED" if check["overridden"] else "FAILED"
