"""Flow ``validate``: every client checks its own rows; nothing is trained."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.settings import flow_settings
from tasks.validation import validate_rows


@flow(
    name="validate",
    flow_run_name="validate-{contract}",
    validate_parameters=True,
    persist_result=False,
    result_serializer="json",  # a failure is written down even so, else as a pickle
)
def validate(
    contract: str = "ecommerce",
    data: str | list[str] | None = None,
    config: str | None = None,
    assignments: list[str] | None = None,
) -> dict[str, Any]:
    """Validate rows against the contract; fails with the table of broken checks."""
    settings = flow_settings(contract, data, None, config, assignments)
    result: dict[str, Any] = validate_rows(settings.model_dump(mode="json"))
    return result
