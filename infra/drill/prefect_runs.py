"""Runs of deployments, asked of the Prefect server over HTTP as anybody may."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra import processes
from infra.drill.timeline import Step

BUSY_SECONDS = 20.0
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class FlowRun:
    """One run, as it was when it was asked for."""

    id: str
    name: str
    state_type: str
    state_name: str
    message: str
    created: str

    @property
    def is_over(self) -> bool:
        return self.state_type in FINAL

    @property
    def has_begun(self) -> bool:
        return self.is_over or self.state_type == "RUNNING"

    @property
    def is_broken(self) -> bool:
        """Whether it ended otherwise than completed."""
        return self.is_over and self.state_type != "COMPLETED"

    def __str__(self) -> str:
        return f"{self.name} ended {self.state_name}: {self.message}"


class PrefectRuns:
    """Starts and watches runs of deployments.

    Args:
        api_url: of the Prefect server.
    """

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url

    def start(self, deployment: str, parameters: Mapping[str, Any] | None = None) -> FlowRun:
        """Ask for a run of ``FLOW/NAME``; ``parameters`` are laid over the deployment's."""
        told = self._ask(f"deployments/name/{deployment}")
        path = f"deployments/{told['id']}/create_flow_run"
        question = {"parameters": dict(parameters or {}), "idempotency_key": uuid.uuid4().hex}
        return _run(self._ask(path, question))

    def find(self, run_id: str) -> FlowRun:
        return _run(self._ask(f"flow_runs/{run_id}"))

    def of(self, deployment: str) -> list[FlowRun]:
        """All runs of a deployment, oldest first."""
        ids = {"deployment_id": {"any_": [self._ask(f"deployments/name/{deployment}")["id"]]}}
        found = self._ask("flow_runs/filter", {"flow_runs": ids, "limit": 200})
        return sorted(map(_run, found), key=lambda run: run.created)

    def wait(self, run: FlowRun, step: Step) -> FlowRun:
        """The run when it is over.

        Raises:
            StepFailed: not before the step's deadline.
        """

        def over() -> FlowRun | None:
            found = self.find(run.id)
            return found if found.is_over else None

        return step.wait_for(over, f"the run {run.name} is over")

    def wait_completed(self, run: FlowRun, step: Step) -> FlowRun:
        """The same; a run that did not complete fails the step with its message."""
        ended = self.wait(run, step)
        step.check(ended.state_type == "COMPLETED", str(ended))
        return ended

    def _ask(self, path: str, question: Mapping[str, Any] | None = None) -> Any:
        """The answer; a server that is busy, which it says by 503, is asked again."""
        body = None if question is None else json.dumps(question).encode()
        answers: list[bytes] = []

        def is_answered() -> bool:
            answer = processes.read_url(f"{self._api_url}/{path}", body=body)
            answers.extend([answer] if answer is not None else [])
            return bool(answers)

        if not processes.wait_until(is_answered, deadline_seconds=BUSY_SECONDS):
            raise OSError(f"the Prefect server gave no good answer to {path}")
        return json.loads(answers[0])


def _run(told: Mapping[str, Any]) -> FlowRun:
    state = told.get("state") or {}
    return FlowRun(
        id=str(told["id"]),
        name=str(told["name"]),
        state_type=str(state.get("type")),
        state_name=str(state.get("name")),
        message=str(state.get("message") or ""),
        created=str(told["created"]),
    )
