"""Tasks: the release in production as a bento."""

from __future__ import annotations

from typing import Any

from prefect import task

from fedchurn.loop.package import find_production, package_stage, record_bento
from fedchurn.settings import Settings
from tasks.artifacts import publish_bento
from tasks.retrying import is_passing


@task(
    name="find production",
    retries=2,
    retry_delay_seconds=[1, 3],
    retry_condition_fn=is_passing,
    timeout_seconds=300,
    persist_result=False,
)
def find_release(settings: dict[str, Any]) -> dict[str, str]:
    """The version in production and its verified release; see ``find_production``."""
    return find_production(Settings.model_validate(settings))


@task(
    name="build bento",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=is_passing,
    timeout_seconds=900,
    persist_result=False,
)
def build_bento(settings: dict[str, Any], found: dict[str, str]) -> dict[str, Any]:
    """The bento, proven and in the store; see ``package_stage``."""
    return package_stage(Settings.model_validate(settings), found)


@task(
    name="record bento",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=is_passing,
    timeout_seconds=300,
    persist_result=False,
)
def record_built(
    settings: dict[str, Any], found: dict[str, str], built: dict[str, Any]
) -> dict[str, Any]:
    """Tag and digest on the registry version, and an artifact; see ``record_bento``."""
    result = record_bento(Settings.model_validate(settings), found, built)
    publish_bento(found["contract"], result)
    return result
