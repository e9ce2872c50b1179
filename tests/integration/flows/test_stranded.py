"""Runs of a worker that is gone."""

from __future__ import annotations

from typing import Any

from infra.stranded import report_stranded
from tests.integration.flows.conftest import Prefect

RUNNING = {"state": {"type": "RUNNING"}, "force": True}


def _state(prefect: Prefect, run: dict[str, Any]) -> str:
    return str(prefect.ask(f"flow_runs/{run['id']}")["state_name"])


def test_cut_off_runs_of_the_pool_are_reported_and_no_others(prefect: Prefect) -> None:
    flow = prefect.ask("flows/", {"name": "cut off"})
    prefect.ask("work_pools/", {"name": "gone", "type": "process"})
    deployment = prefect.ask(
        "deployments/", {"name": "cut off", "flow_id": flow["id"], "work_pool_name": "gone"}
    )
    begun, waiting = (
        prefect.ask(f"deployments/{deployment['id']}/create_flow_run", {}) for _ in range(2)
    )
    elsewhere = prefect.ask("flow_runs/", {"flow_id": flow["id"]})
    for run in (begun, elsewhere):
        prefect.ask(f"flow_runs/{run['id']}/set_state", RUNNING)

    assert report_stranded(prefect.url, "gone") == 1
    assert _state(prefect, begun) == "Crashed"
    assert _state(prefect, waiting) == "Scheduled"
    assert _state(prefect, elsewhere) == "Running"
    assert report_stranded(prefect.url, "gone") == 0
