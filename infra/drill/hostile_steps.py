"""A client that sends poison, and one that is away: what the server of the federation does."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from infra.drill.beginning import Drill
from infra.drill.timeline import Step, StepFailed

MOST_CLIENTS, ALL_CLIENTS = "0.6", "1.0"
MAX_LOSS = 0.03  # of ROC-AUC, for a model that had to do without one of three clients
CASES = (
    f"honest@{ALL_CLIENTS}",
    f"nan@{MOST_CLIENTS}",
    f"huge@{MOST_CLIENTS}",
    f"sign@{MOST_CLIENTS}",
    f"labels@{MOST_CLIENTS}",
    f"gone@{MOST_CLIENTS}",
    f"gone@{ALL_CLIENTS}",
)
LOG = "hostile-federation"


def hostile_clients(drill: Drill) -> None:
    """Play all cases on the rows of the first model; one line for each disaster."""
    timeline, site = drill.timeline, drill.site
    with timeline.step("federation with honest clients", 150, [site.log(LOG)]) as step:
        command = [sys.executable, "-m", "infra.drill.hostile_federation", str(site.home), *CASES]
        ended = site.commands.run(LOG, command, timeout_seconds=step.remaining_seconds)
        step.check(ended.code == 0, f"exit code {ended.code}")
        honest, nan, huge, sign, labels, gone, stopped = ended.last_object
        step.saw(f"ROC-AUC {honest['roc_auc']:.3f} on all clients' test rows", **honest)
    with timeline.step("poisoned client: NaN", 5) as step:
        _check_left_out(step, nan, honest, "quarantined", "NaN")
    with timeline.step("poisoned client: huge update", 5) as step:
        _check_left_out(step, huge, honest, "quarantined", "is possible")
    with timeline.step("poisoned client: gradient turned round", 5) as step:
        _check_left_out(step, sign, honest, "quarantined", "newton.")
    with timeline.step("poisoned client: labels turned round", 5) as step:
        _check_left_out(step, labels, honest, "quarantined", "labels turned round")
    with timeline.step("dropped client, quorum 60 %", 5) as step:
        _check_left_out(step, gone, honest, "absences", "switched off")
    with timeline.step("dropped client, quorum 100 %", 5) as step:
        _check_stopped(step, stopped)


def _check_left_out(
    step: Step, case: Mapping[str, Any], honest: Mapping[str, Any], how: str, why: str
) -> None:
    """The rounds went on without the client, the records name it, and the model is as good."""
    step.check("stopped" not in case, f"the training stopped: {case.get('stopped')}")
    client = case["client"]
    reasons = [record.get(client, "") for record in case[how]]
    step.check(reasons and all(why in reason for reason in reasons), f"{how}: {case[how]}")
    step.check(client not in case["participants"], f"{client} took part")
    loss = honest["roc_auc"] - case["roc_auc"]
    step.check(loss <= MAX_LOSS, f"the model lost {loss:.3f} of ROC-AUC")
    word = "quarantined" if how == "quarantined" else "absent"
    rounds = f"{client} {word} in {len(reasons)} of {case['num_rounds']} rounds"
    step.saw(f"{rounds}: {reasons[0]}; ROC-AUC {case['roc_auc']:.3f}", **case)


def _check_stopped(step: Step, case: Mapping[str, Any]) -> None:
    told = str(case.get("stopped", ""))
    if not told:
        raise StepFailed(f"the training went on with {case.get('participants')}")
    step.check(case["client"] in told, f"the client is not named: {told}")
    step.saw(f"refused: {told.splitlines()[0]}", **case)
