"""The whole loop on the generated sample: a model, its service, drift, a retrain, and a reload."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from fedchurn.cli import demo_output as output
from fedchurn.cli.bento_output import stored_bento, tell_answer, tell_bento, try_alone
from fedchurn.cli.training_output import (
    OnRound,
    importing_flows,
    prepare,
    run_embedded,
    run_train_flow,
    tell_outcome,
)
from fedchurn.contract.schema import Contract
from fedchurn.data.sample_customers import Customer, sample_customers
from fedchurn.loop.bento_server import BentoServer, bento_served
from fedchurn.loop.demo_traffic import Answer, ask_about, await_logged, tell_truth
from fedchurn.loop.package_trial import try_server
from fedchurn.release.load import Release, load_release
from fedchurn.settings import Settings

NUM_CUSTOMERS = 400  # as always, and as many others
SCENARIOS = ("missing_15", "complaints_up")  # of the contract; the first that it has
CLIENT_MARGIN = 0.1  # ROC-AUC; the sample's smallest client has some 30 test rows
RELOAD_SECONDS = 30.0  # the service looks every second
POLL_SECONDS = 0.1

Told = dict[str, Any]
Record = TypeVar("Record", bound=BaseModel)


@dataclass
class Phases:
    """How long each part took, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Time the block."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started, 2)


@dataclass(frozen=True)
class Demo:
    """A service at work, and who asks it.

    Attributes:
        settings: of the person; for the rest see ``_demo_settings``.
        release: what is in production as the demo begins to watch.
        server: serves it.
        phases: how long each part took.
    """

    settings: Settings
    release: Release
    server: BentoServer
    phases: Phases

    @property
    def contract(self) -> Contract:
        return self.release.contract


def run_demo(settings: Settings) -> Told:
    """Run every step and tell each; a second run on the same home goes on from the first.

    Returns:
        What training came to (see ``run_train_flow``; its ``outcome`` is ``kept`` where an earlier
        demo has left a model), ``served``, ``watched``, ``retrain``, ``followed`` (each None where
        that step was left out), ``seconds`` and ``phases``.

    Raises:
        FedchurnError: a step could not be done. A refusal is no error.
    """
    started, phases = time.monotonic(), Phases()
    output.tell_steps()
    prepare(settings)
    with importing_flows():
        from flows.embedded_server import prefect_server  # Prefect reads its settings when imported
        from flows.train import WANTED_SOON
    with ExitStack() as stack:
        with phases.of("prefect"):
            stack.enter_context(prefect_server(settings.home, meanwhile=WANTED_SOON))
        with phases.of("model"):
            outcome = _model(settings)
            packaged = _packaged(settings, outcome)
        told = _serve(settings, packaged, phases)
    seconds = round(time.monotonic() - started, 1)
    told = {**outcome, **told, "exit_code": 0, "seconds": seconds, "phases": phases.seconds}
    output.tell_end(told)
    return told


def _model(settings: Settings) -> Told:
    """Train on the sample, unless a retrain of an earlier demo has made what is in production.

    That model knows more rows than the sample has; training on the sample again would go back.
    """
    from fedchurn.loop.retraining.champion import champion_card
    from fedchurn.loop.retraining.site import retrain_site

    found = champion_card(settings)
    stories = retrain_site(settings).journal().history().retrains
    made = {str(s.outcome.facts["release_id"]) for s in stories if s.outcome is not None}
    if found is not None and found[0] in made and found[1].is_sample:
        return output.tell_kept(found[0])
    outcome = run_train_flow(settings)
    tell_outcome(outcome)
    return outcome


def _packaged(settings: Settings, outcome: Told) -> Told:
    """The bento of what is in production, packaged now if training has not done so."""
    from fedchurn.loop.package import package_production

    known: Told | None = outcome.get("bento")
    if known is not None:
        return known
    packaged = package_production(settings)
    tell_bento(packaged)
    return packaged


def _serve(settings: Settings, packaged: Told, phases: Phases) -> Told:
    bento = stored_bento(packaged)
    release = load_release(bento.model_folder / "release")
    left_out: Told = dict.fromkeys(("watched", "retrain", "followed"))
    if not release.card.is_sample:
        output.tell_left_alone()
        return {"served": try_alone(packaged), **left_out}
    with ExitStack() as stack:
        with phases.of("serve"):
            served = bento_served(bento, settings.home, log_folder=settings.drift.log_folder)
            server = stack.enter_context(served)
        demo = Demo(_demo_settings(settings), release, server, phases)
        output.tell_conditions(settings, demo.settings)
        told = _loop(demo)
    print("The service has been stopped again.")
    return {**left_out, **told}


def _demo_settings(settings: Settings) -> Settings:
    """What a demo cannot wait for, nor leave to chance, where the person has not said otherwise."""
    return settings.model_copy(
        update={
            "feedback": _unless_given(settings.feedback, maturity_days=0.0),
            "evaluation": _unless_given(settings.evaluation, baselines=False),
            "packaging": _unless_given(settings.packaging, after_promotion=False),
            "promotion": _unless_given(settings.promotion, client_margin=CLIENT_MARGIN),
        }
    )


def _unless_given(record: Record, **values: Any) -> Record:
    new = {name: value for name, value in values.items() if name not in record.model_fields_set}
    return record.model_copy(update=new)


def _loop(demo: Demo) -> Told:
    calm, others = _customers(demo, None), _customers(demo, drift_scenario(demo.contract))
    with demo.phases.of("watch"):
        trial = try_server(demo.server, demo.release, calm[0].row)
        served = tell_answer(demo.server.bento.tag, trial)
        output.tell_normal(len(calm))
        watched = [_watched(demo, calm[1:], [trial.answer])[0]]
    if not others:
        output.tell_no_scenario(demo.contract)
        return {"served": served, "watched": watched}
    with demo.phases.of("drift"):
        output.tell_drifted(len(others), demo.contract, drift_scenario(demo.contract))
        found, answers = _watched(demo, others, [])
        watched.append(found)
    with demo.phases.of("labels"):
        num_left = tell_truth(demo.server, answers, others)
        output.tell_labels(len(others), num_left)
    with demo.phases.of("retrain"):
        retrained = run_embedded(demo.settings, lambda tell: _retrain(demo.settings, tell))
        output.tell_retrain(retrained)
    with demo.phases.of("reload"):
        before, customer = max(zip(answers, others, strict=True), key=_risk)
        followed = _followed(demo, customer, before)
        output.tell_followed(followed)
    return {"served": served, "watched": watched, "retrain": retrained, "followed": followed}


def drift_scenario(contract: Contract) -> str | None:
    """How customers become others; None where the contract has no scenario."""
    known = contract.sample.scenarios
    return next((name for name in SCENARIOS if name in known), next(iter(known), None))


def _customers(demo: Demo, scenario: str | None) -> tuple[Customer, ...]:
    """Other customers in every demo on a home, since windows are compared with those before."""
    from fedchurn.loop.watching.runner import site_of
    from fedchurn.loop.watching.verdicts import open_verdicts

    num_windows = len(open_verdicts(site_of(demo.settings).watch).lines())
    batch = num_windows + (1 if scenario is None else 2)
    return sample_customers(demo.contract, NUM_CUSTOMERS, batch, scenario)


def _watched(
    demo: Demo, customers: tuple[Customer, ...], answered: list[Answer]
) -> tuple[Told, list[Answer]]:
    """Send customers, wait until they are logged, and let the drift runner look.

    Returns:
        What the runner found, and the answers.
    """
    from fedchurn.loop.watching.runner import check_drift, site_of

    answers = ask_about(demo.server, customers)
    folder = site_of(demo.settings).serving.predictions_folder
    await_logged(demo.server, folder, [*answered, *answers])
    found = check_drift(demo.settings)
    return output.tell_watched(found), answers


def _retrain(settings: Settings, tell: OnRound) -> Told:
    from flows.retrain import retrain_resolved

    result: Told = retrain_resolved(settings, tell)
    return result


def _risk(one: tuple[Answer, Customer]) -> float:
    return float(one[0]["churn_probability"])


def _followed(demo: Demo, customer: Customer, before: Answer) -> Told:
    """Wait until the service answers by what is in production now, and ask it once more."""
    from fedchurn.loop.watching.runner import site_of
    from fedchurn.serving.reload.release_source import chosen_release

    wanted = chosen_release(site_of(demo.settings).serving).release_id
    started = time.monotonic()
    health = demo.server.ask("GET", "/health")
    while health["release"] != wanted and time.monotonic() - started < RELOAD_SECONDS:
        time.sleep(POLL_SECONDS)
        health = demo.server.ask("GET", "/health")
    seconds = round(time.monotonic() - started, 2)
    answer = demo.server.ask("POST", "/predict", customer.row)
    return {
        "release_before": before["release"],
        "release": answer["release"],
        "in_production": wanted,
        "seconds": seconds,
        "failure": health["last_reload_failure"],
        "probability_before": before["churn_probability"],
        "probability": answer["churn_probability"],
    }
