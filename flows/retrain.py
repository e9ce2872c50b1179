"""Flow ``retrain``: settle what is open -> decide about triggers -> train -> take down the outcome.

What decides, and everything that survives a kill, is in ``fedchurn.loop.retraining.retrain``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed, State

from fedchurn.contract.load import load_contract
from fedchurn.errors import PromotionRefused, RetrainingError
from fedchurn.loop.retraining.retrain import ask_by_hand, retrain_once
from fedchurn.loop.retraining.site import RetrainSite, retrain_site
from fedchurn.loop.retraining.trainer import ProcessTrainer, Trainer
from fedchurn.retraining.checks import FAILED
from fedchurn.settings import Settings
from flows.deployed_training import (
    DeploymentTrainer,
    has_worker,
    is_deployed,
    train_parameters,
)
from flows.embedded_server import is_own_server, prefect_server
from flows.settings import flow_settings
from flows.train import TURN_SECONDS, train_and_promote
from tasks.progress import OnRound, listening
from tasks.retraining import decide_waiting

WANTED_SOON = ("mlflow",)  # every decision asks what is in production


@flow(
    name="retrain",
    flow_run_name="retrain-{contract}",
    validate_parameters=True,
    persist_result=False,
    result_serializer="json",  # a failure is written down even so, else as a pickle
)
def retrain(
    contract: str = "ecommerce",
    reason: str | None = None,
    force: bool = False,
    config: str | None = None,
    assignments: list[str] | None = None,
) -> Any:
    """Decide about every trigger that waits, and train at most once.

    Ends Completed: ``Retrained``, ``Refused`` or ``Unchanged`` (what promotion said), ``Skipped``
    (no trigger stood the checks), ``Nothing`` (none was waiting), or ``Asked`` (the training has
    not begun or not ended; a later run takes down its outcome). A training that fails fails this
    run too; that is in the journal.

    Args:
        contract: name or path of the contract.
        reason: a person asks, and why; without it, only what waits is decided.
        force: with a reason: override what ``retraining.force_overrides`` names.
        config: YAML file with settings.
        assignments: texts like ``seed=7``.
    """
    site = _site(contract, config, assignments or [])
    if reason is not None:
        ask_by_hand(site, f"manual {flow_run.id}", reason, force=force)
    return ended(retrain_now(site))


def retrain_embedded(home: Path, asked: dict[str, Any], on_round: OnRound) -> dict[str, Any]:
    """The same flow in this process; it trains here too, unless a worker has the deployment.

    Args:
        home: where a Prefect server of our own keeps its files.
        asked: the flow's parameters.
        on_round: sees the rounds of a training in this process.
    """
    with prefect_server(home, meanwhile=WANTED_SOON), listening(on_round):
        result: dict[str, Any] = retrain(**asked)
    return result


@flow(
    name="retrain",
    flow_run_name="retrain-resolved",
    persist_result=False,
    result_serializer="json",
)
def _retrain_resolved(settings: dict[str, Any]) -> Any:
    site = retrain_site(Settings.model_validate(settings))
    return ended(retrain_now(site, in_process))


def retrain_resolved(settings: Settings, on_round: OnRound) -> dict[str, Any]:
    """The same flow in this process, for settings that are resolved; it trains here in any case."""
    with prefect_server(settings.home, meanwhile=WANTED_SOON), listening(on_round):
        result: dict[str, Any] = _retrain_resolved(settings.model_dump(mode="json"))
    return result


def _site(contract: str, config: str | None, assignments: list[str]) -> RetrainSite:
    """The site, with what the deployment ``train/CONTRACT`` says about data and settings."""
    own = train_parameters(load_contract(contract).contract)
    config = config or own.get("config")
    merged = [*(own.get("assignments") or []), *assignments]
    settings = flow_settings(contract, own.get("data"), own.get("recipe"), config, merged)
    return retrain_site(settings, config, merged)


def deployed_or_here(site: RetrainSite) -> Trainer:
    """By the deployment ``train/CONTRACT``, if the server has it, else in this process.

    A server that ends with this process may know deployments of a platform that is down: then
    nobody would begin the run.
    """
    if is_deployed(site.name) and (has_worker(site.name) or not is_own_server()):
        return DeploymentTrainer(site.name, start_minutes=site.settings.retraining.start_minutes)
    return in_process(site)


def in_process(_: RetrainSite) -> Trainer:
    """In this process."""
    return ProcessTrainer(lambda s: train_and_promote(s, wait_seconds=TURN_SECONDS))


def retrain_now(
    site: RetrainSite, trainer: Callable[[RetrainSite], Trainer] = deployed_or_here
) -> dict[str, Any]:
    """The steps of ``retrain``; see ``fedchurn.loop.retraining.retrain``.

    Raises:
        RetrainingError: a training elsewhere came to no verdict; all that waited is decided.
    """
    plain = site.settings.model_dump(mode="json")
    done = retrain_once(site, lambda: trainer(site), lambda alone: decide_waiting(plain, alone))
    raise_failed(site.name, done.ran)
    return outcome(list(done.decided), list(done.ran))


def raise_failed(contract: str, ran: Iterable[dict[str, Any]]) -> None:
    """Raises ``RetrainingError`` where a training came to no verdict, for it must not look well."""
    for story in ran:
        end = story.get("outcome")
        if end and end["outcome"] == FAILED:
            raise RetrainingError(
                f"the training came to no verdict: {end['summary']}",
                where=f"train/{contract}, key {story['decision']['run_key']}",
                next_step="production is as it was; mend the cause, then `fedchurn retrain` with"
                " --reason, or wait for the next trigger",
            )


def outcome(decided: list[dict[str, Any]], ran: list[dict[str, Any]]) -> dict[str, Any]:
    """What came of it, in a word and a sentence, with every decision and every run."""
    ends = [story["outcome"] for story in ran if "outcome" in story]
    words = {str(end["outcome"]) for end in ends}
    word = next((w for w in ("promoted", "refused", "unchanged") if w in words), "")
    if not word and len(ends) < len(ran):
        word = "asked"
    word = {"promoted": "retrained", "": "skipped" if decided else "nothing"}.get(word, word)
    return {
        "outcome": word,
        "exit_code": PromotionRefused.exit_code if word == "refused" else 0,
        "summary": _summary(decided, ran),
        "decisions": decided,
        "runs": ran,
    }


def _summary(decided: list[dict[str, Any]], ran: list[dict[str, Any]]) -> str:
    chosen = [story for story in decided if story["decision"]["run_key"]]
    parts = [f"{len(decided)} triggers decided, {len(chosen)} to retrain."]
    if decided and not chosen:
        parts.append(str(decided[0]["decision"]["summary"]))
    for story in ran:
        end = story.get("outcome")
        parts.append(
            f"{end['outcome'].capitalize()}: {end['release_id']} (version {end['version']})."
            if end
            else "A training was asked for and is not over."
        )
    return " ".join(parts)


def ended(result: dict[str, Any]) -> State[dict[str, Any]]:
    """A completed state that is named after the outcome."""
    name = str(result["outcome"]).capitalize()
    return Completed(name=name, message=str(result["summary"]), data=result)
