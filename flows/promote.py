"""Flow ``promote``: judge a registered version again, against today's champion."""

from __future__ import annotations

from typing import Any

from prefect import flow

from fedchurn.loop.one_run import one_run
from flows.settings import flow_settings
from flows.train import TURN_SECONDS, ended, packaged_after
from tasks.registry import find_registered, promote_or_refuse, publish_verdict
from tasks.training import check_tracking
from tasks.validation import validate_rows


@flow(
    name="promote",
    flow_run_name="promote-{contract}",
    validate_parameters=True,
    persist_result=False,
    result_serializer="json",  # a failure is written down even so, else as a pickle
)
def promote(
    contract: str = "ecommerce",
    version: str | None = None,
    data: str | list[str] | None = None,
    config: str | None = None,
    assignments: list[str] | None = None,
) -> Any:
    """Judge a registered version (the newest by default) on the test rows of ``data``.

    ``data`` must be the rows that the version was trained and tested with; others are refused.
    """
    settings = flow_settings(contract, data, None, config, assignments)
    plain = settings.model_dump(mode="json")
    with one_run(settings, wait_seconds=TURN_SECONDS):
        check_tracking(plain)
        registered = find_registered(plain, version)
        validated = validate_rows(plain)
        verdict = promote_or_refuse(plain, validated, registered)
        publish_verdict(plain, registered, verdict)
    return ended({**verdict, "bento": packaged_after(settings, verdict)})
