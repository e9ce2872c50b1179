"""Runs that were cut off when the platform went down: nobody is left to say how they ended.

Without a word about them they would show as Running for ever, and keep the turn of their
deployment, so that no later run could begin.
"""

from __future__ import annotations

import json
from typing import Any

from infra.processes import read_url

UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")
MESSAGE = "The platform went down while it ran. Retry it: finished stages are not run again."


def report_stranded(api_url: str, pool: str) -> int:
    """Say of each unfinished run of a work pool that it crashed; call it before a worker starts.

    Returns:
        how many there were.
    """
    question = {
        "flow_runs": {"state": {"type": {"any_": list(UNFINISHED)}}},
        "work_pools": {"name": {"any_": [pool]}},
    }
    stranded = _posted(f"{api_url}/flow_runs/filter", question) or []
    crashed = {"state": {"type": "CRASHED", "message": MESSAGE}, "force": True}
    for run in stranded:
        _posted(f"{api_url}/flow_runs/{run['id']}/set_state", crashed)
    return len(stranded)


def _posted(url: str, question: dict[str, Any]) -> Any:
    return json.loads(read_url(url, body=json.dumps(question).encode()) or b"null")
