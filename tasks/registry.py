"""Tasks: release, registration and promotion."""

from __future__ import annotations

from typing import Any

from prefect import task

from fedchurn.contract.load import load_contract
from fedchurn.loop.production import registered_version
from fedchurn.loop.promote import judge_and_promote
from fedchurn.loop.release import register_stage, report_verdict
from fedchurn.settings import Settings
from tasks.artifacts import publish_decision
from tasks.retrying import is_passing


@task(
    name="register release",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=is_passing,
    timeout_seconds=1800,
    persist_result=False,
)
def register_release(
    settings: dict[str, Any],
    validated: dict[str, Any],
    trained: dict[str, Any],
    evaluated: dict[str, Any],
) -> dict[str, Any]:
    """The release folder, logged and registered; see ``register_stage``."""
    resolved = Settings.model_validate(settings)
    contract = load_contract(resolved.contract)
    return register_stage(resolved, contract, validated, trained, evaluated)


@task(
    name="promote or refuse",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=is_passing,
    timeout_seconds=1800,
    persist_result=False,
)
def promote_or_refuse(
    settings: dict[str, Any], validated: dict[str, Any], registered: dict[str, Any]
) -> dict[str, Any]:
    """The decision, carried out; see ``judge_and_promote``."""
    resolved = Settings.model_validate(settings)
    contract = load_contract(resolved.contract)
    return judge_and_promote(resolved, contract, validated, registered)


@task(
    name="publish verdict",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=is_passing,
    timeout_seconds=600,
    persist_result=False,
)
def publish_verdict(
    settings: dict[str, Any], registered: dict[str, Any], outcome: dict[str, Any]
) -> None:
    """The verdict as an artifact and in the training report; a retry does not judge again."""
    resolved = Settings.model_validate(settings)
    contract = load_contract(resolved.contract)
    publish_decision(contract.contract, outcome)
    report_verdict(resolved, registered, outcome)


@task(
    name="find version",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_condition_fn=is_passing,
    timeout_seconds=300,
    persist_result=False,
)
def find_registered(settings: dict[str, Any], version: str | None) -> dict[str, Any]:
    """A registered version, the newest by default; see ``registered_version``."""
    return registered_version(Settings.model_validate(settings), version)
