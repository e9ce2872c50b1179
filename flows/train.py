"""Flow ``train``: validate -> federate -> evaluate -> register -> promote or refuse -> package."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Completed, State

from fedchurn.loop.one_run import one_run
from fedchurn.settings import Settings
from flows.embedded_server import prefect_server
from flows.package import package_release
from flows.settings import flow_settings
from tasks.progress import OnRound, listening
from tasks.registry import promote_or_refuse, publish_verdict, register_release
from tasks.training import check_tracking, evaluate_model, train_federated
from tasks.validation import validate_rows

# The stages import these anyway, and a Prefect server takes about as long to come up.
WANTED_SOON = ("mlflow", "great_expectations", "sklearn.ensemble")
TURN_SECONDS = 6 * 3600.0  # a deployed run waits for its turn: nobody is there to start it again


@flow(
    name="train",
    flow_run_name="train-{contract}",
    validate_parameters=True,
    persist_result=False,
    result_serializer="json",  # a failure is written down even so, else as a pickle
)
def train(
    contract: str = "ecommerce",
    data: str | list[str] | None = None,
    recipe: str | None = None,
    config: str | None = None,
    assignments: list[str] | None = None,
) -> Any:
    """Train a challenger and promote it if it deserves production.

    Ends Completed, named ``Promoted``, ``Refused`` or ``Unchanged``: a refusal is a verdict, not a
    failure. Bad rows, an absent server or a round below quorum end Failed, with the reason. What is
    promoted is packaged too; if that fails, the run fails, and the promotion stands.
    """
    settings = flow_settings(contract, data, recipe, config, assignments)
    return ended(train_and_promote(settings, wait_seconds=TURN_SECONDS))


@flow(
    name="train",
    flow_run_name="train-embedded",
    persist_result=False,
    result_serializer="json",
)
def _train_resolved(settings: dict[str, Any]) -> Any:
    return ended(train_and_promote(Settings.model_validate(settings)))


def train_embedded(settings: Settings, on_round: OnRound) -> dict[str, Any]:
    """The same flow in this process, for settings that are resolved; ``on_round`` sees rounds."""
    with prefect_server(settings.home, meanwhile=WANTED_SOON), listening(on_round):
        result: dict[str, Any] = _train_resolved(settings.model_dump(mode="json"))
    return result


def train_and_promote(settings: Settings, *, wait_seconds: float = 0.0) -> dict[str, Any]:
    """The tasks of ``train``, one run at a time per contract; ``wait_seconds`` is how long at most.

    Raises:
        FedchurnError: what a task found, or another run of the contract is under way.
    """
    plain = settings.model_dump(mode="json")
    with one_run(settings, wait_seconds=wait_seconds):
        check_tracking(plain)
        validated = validate_rows(plain)
        trained = train_federated(plain, validated)
        evaluated = evaluate_model(plain, validated, trained)
        registered = register_release(plain, validated, trained, evaluated)
        verdict = promote_or_refuse(plain, validated, registered)
        publish_verdict(plain, registered, verdict)
    told = outcome(verdict, validated, trained, evaluated, registered)
    return {**told, "bento": packaged_after(settings, verdict)}


def packaged_after(settings: Settings, verdict: dict[str, Any]) -> dict[str, Any] | None:
    """The bento of what a verdict left in production; None after a refusal, or when switched off.

    An unchanged model is looked after too: its bento may never have been made, or be gone.
    """
    if verdict["outcome"] == "refused" or not settings.packaging.after_promotion:
        return None
    return package_release(settings)


def outcome(
    verdict: dict[str, Any],
    validated: dict[str, Any],
    trained: dict[str, Any],
    evaluated: dict[str, Any],
    registered: dict[str, Any],
) -> dict[str, Any]:
    """The verdict with the figures that people ask for next."""
    return {
        **verdict,
        "model_name": registered["model_name"],
        "release_folder": registered["release_folder"],
        "report": f"{registered['folder']}/training_report.html",
        "mlflow_run_id": registered["mlflow_run_id"],
        "is_sample": validated["is_sample"],
        "rows_in": validated["rows_in"],
        "rows_used": validated["rows_used"],
        "clients": len(validated["data_digests"]),
        "refused_clients": validated.get("refused", {}),
        "num_rounds": trained["num_rounds"],
        "best_round_num": trained["best_round_num"],
        "threshold": evaluated["threshold"],
        "metrics": evaluated["metrics"],
        "comparisons": evaluated["comparisons"],
        "reused_stages": [
            name
            for name, stage in (
                ("validate", validated),
                ("federate", trained),
                ("evaluate", evaluated),
                ("register", registered),
            )
            if stage["reused"]
        ],
    }


def ended(result: dict[str, Any]) -> State[dict[str, Any]]:
    """A completed state that is named after the outcome."""
    message = f"{result['release_id']} (version {result['version']}): {result['summary']}"
    if reused := result.get("reused_stages"):
        message += f" Not run again: {', '.join(reused)}."
    if bento := result.get("bento"):
        message += f" Bento: {bento['tag']}."
    return Completed(name=str(result["outcome"]).capitalize(), message=message, data=result)
