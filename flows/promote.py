"""Flow ``promote``: judge the newest trained release again, against today's champion."""

from __future__ import annotations

from typing import Any

from prefect import flow

from fedchurn.loop.one_run import one_run
from flows.settings import flow_settings
from flows.train import ended
from tasks.registry import promote_or_refuse, register_release
from tasks.training import check_tracking, evaluate_model, train_federated
from tasks.validation import validate_rows


@flow(name="promote", flow_run_name="promote-{contract}", validate_parameters=True)
def promote(
    contract: str = "ecommerce",
    version: str | None = None,
    data: str | list[str] | None = None,
    config: str | None = None,
    assignments: list[str] | None = None,
) -> Any:
    """Judge a registered version on the test rows of ``data``, and promote it or refuse it."""
    raise NotImplementedError
