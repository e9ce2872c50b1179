"""Flow ``check_drift``: claim what was logged -> judge -> tell -> go on behind it."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Completed, State

from fedchurn.loop.one_run import one_run
from fedchurn.loop.watching.runner import MAX_WINDOWS, WORK, has_production
from fedchurn.settings import Settings
from flows.settings import flow_settings
from tasks.watching import (
    ask_for_retrain,
    finish_judged_window,
    judge_mature_labels,
    judge_next_window,
    publish_run,
    publish_window,
)

TURN_SECONDS = 600.0  # another run takes seconds
STATE_NAMES = {
    "drift": "Drift",
    "warning": "Warning",
    "none": "Quiet",
    "too_few_rows": "TooFewRows",
    "nothing_in_production": "NothingInProduction",
}


@flow(
    name="check-drift",
    flow_run_name="check-drift-{contract}",
    validate_parameters=True,
    persist_result=False,
    result_serializer="json",  # a failure is written down even so, else as a pickle
)
def check_drift(
    contract: str = "ecommerce",
    config: str | None = None,
    assignments: list[str] | None = None,
) -> Any:
    """Compare what was predicted since the last look with the release in production.

    Ends Completed, named ``Drift``, ``Warning``, ``Quiet`` or ``TooFewRows`` (those that came wait
    for more): a drift is a verdict, not a failure. Drift leaves a trigger, and asks for a run of
    ``retrain`` where a server has that deployment.
    """
    settings = flow_settings(contract, None, None, config, assignments)
    result = watch(settings)
    state: State[dict[str, Any]] = Completed(
        name=STATE_NAMES[result["outcome"]], message=result["summary"], data=result
    )
    return state


def watch(settings: Settings) -> dict[str, Any]:
    """The tasks of ``check_drift``, one run at a time per contract.

    Raises:
        FedchurnError: what a task found, or another run is under way.
    """
    plain = settings.model_dump(mode="json")
    with one_run(settings, wait_seconds=TURN_SECONDS, work=WORK):
        if not has_production(settings):
            return {"outcome": "nothing_in_production", "summary": "Nothing is in production yet."}
        by_labels = judge_mature_labels(plain)
        windows: list[dict[str, Any]] = []
        while len(windows) < MAX_WINDOWS and (window := judge_next_window(plain, by_labels)):
            publish_window(window)
            finish_judged_window(plain, window)
            windows.append(window)
        result: dict[str, Any] = publish_run(plain, windows, by_labels)
        ask_for_retrain(plain)
    return result
