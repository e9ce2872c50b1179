"""Flow ``train``: validate -> federate -> evaluate -> register -> promote or refuse."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Completed, State

from fedchurn.loop.one_run import one_run
from fedchurn.settings import Settings
from flows.settings import flow_settings
from tasks.registry import promote_or_refuse, register_release
from tasks.training import check_tracking, evaluate_model, train_federated
from tasks.validation import validate_rows


@flow(name="train", flow_run_name="train-{contract}", validate_parameters=True)
def train(
    contract: str = "ecommerce",
    data: str | list[str] | None = None,
    recipe: str | None = None,
    config: str | None = None,
    assignments: list[str] | None = None,
) -> Any:
    """Train a challenger and promote it if it deserves production.

    Ends Completed, named ``Promoted``, ``Refused`` or ``Unchanged``: a refusal is a verdict, not a
    failure. Bad rows, an absent server or a round below quorum end Failed, with the reason.
    """
    return ended(train_with(flow_settings(contract, data, recipe, config, assignments)))


def train_with(settings: Settings) -> dict[str, Any]:
    """The tasks of ``train``, one run at a time per contract."""
    plain = settings.model_dump(mode="json")
    with one_run(settings):
        check_tracking(plain)
        validated = validate_rows(plain)
        trained = train_federated(plain, validated)
        evaluated = evaluate_model(plain, validated, trained)
        registered = register_release(plain, validated, trained, evaluated)
        return promote_or_refuse(plain, validated, registered)


def ended(outcome: dict[str, Any]) -> State[dict[str, Any]]:
    """A completed state that is named after the outcome."""
    message = f"{outcome['release_id']} (version {outcome['version']}): {outcome['summary']}"
    return Completed(name=str(outcome["outcome"]).capitalize(), message=message, data=outcome)
