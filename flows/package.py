"""Flow ``package``: the release in production becomes a bento that has answered its golden rows."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Completed, State

from fedchurn.loop.one_run import one_run
from fedchurn.settings import Settings
from flows.settings import flow_settings
from tasks.packaging import build_bento, find_release, record_built

TURN_SECONDS = 3600.0  # another packaging of the contract takes seconds


@flow(
    name="package",
    flow_run_name="package-{contract}",
    validate_parameters=True,
    persist_result=False,
    result_serializer="json",  # a failure is written down even so, else as a pickle
)
def package(
    contract: str = "ecommerce",
    config: str | None = None,
    assignments: list[str] | None = None,
) -> Any:
    """Package what is in production.

    Ends Completed, named ``Packaged``, or ``Unchanged`` when this release and code are in the store
    already. A bento that does not answer as its release does is deleted, and the run fails.
    """
    settings = flow_settings(contract, None, None, config, assignments)
    result = package_release(settings)
    message = f"{result['release_id']} (version {result['version']}): {result['summary']}"
    state: State[dict[str, Any]] = Completed(
        name=str(result["outcome"]).capitalize(), message=message, data=result
    )
    return state


def package_release(settings: Settings) -> dict[str, Any]:
    """The tasks of ``package``, one run at a time per contract.

    Raises:
        FedchurnError: what a task found.
    """
    plain = settings.model_dump(mode="json")
    with one_run(settings, wait_seconds=TURN_SECONDS, work="package"):
        found = find_release(plain)
        result: dict[str, Any] = record_built(plain, found, build_bento(plain, found))
    return result
