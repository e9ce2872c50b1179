"""Task: every client validates its own rows."""

from __future__ import annotations

from typing import Any

from prefect import task

from fedchurn.contract.load import load_contract
from fedchurn.errors import ValidationFailed
from fedchurn.loop.join import first_stage
from fedchurn.settings import Settings
from tasks.artifacts import publish_rejection, publish_validation
from tasks.retrying import is_passing


@task(
    name="validate rows",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_passing,
    timeout_seconds=3600,
    persist_result=False,
)
def validate_rows(settings: dict[str, Any]) -> dict[str, Any]:
    """Validated, split client tables; or clients on hosts of their own; see ``first_stage``."""
    resolved = Settings.model_validate(settings)
    contract = load_contract(resolved.contract)
    try:
        result = first_stage(resolved, contract)
    except ValidationFailed as error:
        publish_rejection(contract.contract, str(error))
        raise
    publish_validation(contract.contract, result)
    return result
