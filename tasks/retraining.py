"""Task: one decision per trigger that waits."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact

from fedchurn.loop.retraining.retrain import decide_triggers
from fedchurn.loop.retraining.site import as_dict, retrain_site
from fedchurn.settings import Settings
from tasks.retrying import is_passing


@task(
    name="decide about triggers",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=is_passing,
    timeout_seconds=1800,
    persist_result=False,
)
def decide_waiting(settings: dict[str, Any], alone: bool) -> list[dict[str, Any]]:
    """Every trigger that waits is decided, with all checks; see ``decide_triggers``."""
    site = retrain_site(Settings.model_validate(settings))
    stories = [as_dict(story) for story in decide_triggers(site, alone=alone)]
    if stories:
        publish_decisions(site.name, stories)
    return stories


def publish_decisions(contract: str, stories: list[dict[str, Any]]) -> None:
    """Why a retrain begins or not, trigger by trigger."""
    num = sum(story["decision"]["outcome"] == "retrain" for story in stories)
    parts = [_told_decision(story["trigger"], story["decision"]) for story in stories[:20]]
    more = f"\n\n{len(stories) - 20} more are in the journal." if len(stories) > 20 else ""
    create_markdown_artifact(
        f"# {len(stories)} triggers, {num} retrain\n\n" + "\n\n".join(parts) + more,
        key=f"retraining-{contract}".lower().replace("_", "-"),
        description=f"Retraining of {contract}: {num} of {len(stories)} triggers",
    )


def _told_decision(trigger: dict[str, Any], decision: dict[str, Any]) -> str:
    checks = "\n".join(f"- {_verdict(check)}: {check['sentence']}" for check in decision["checks"])
    return (
        f"## {decision['outcome'].capitalize()}: {trigger['source']}, {trigger['time']}\n\n"
        f"{trigger['summary']}\n\n{checks}"
    )


def _verdict(check: dict[str, Any]) -> str:
    if check["passed"]:
        return "passed"
    return "**overridden**" if check["overridden"] else "**failed**"
