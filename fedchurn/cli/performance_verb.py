"""The verb about how good the answers were."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fedchurn.cli.model_verbs import Contract, flow_values
from fedchurn.cli.verb import Config, Json, Set, settings_from, verb


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("performance")(performance_verb)


@verb
def performance_verb(
    contract: Contract = None,
    release: Annotated[
        Path | None,
        typer.Option("--release", help="Release folder; the one in production by default."),
    ] = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Tell how good answers were, by labels that came back; nothing is written."""
    from fedchurn.loop.production import contract_name
    from fedchurn.loop.watching.performance_rules import decay_rule, performance_rule
    from fedchurn.release.load import load_release
    from fedchurn.serving.feedback.performance_record import performance_record
    from fedchurn.serving.reload.release_source import chosen_release
    from fedchurn.serving.serving_settings import ServingSettings

    settings = settings_from(config, assignments, flow_values(contract))
    serving = ServingSettings(
        home=settings.home.resolve(),
        contract=contract_name(settings),
        log_folder=settings.drift.log_folder,
    )
    found = performance_record(
        serving.predictions_folder,
        serving.feedback_folder,
        load_release(release or chosen_release(serving).folder),
        now_seconds=time.time(),
        rule=performance_rule(settings.feedback),
        decay_rule=decay_rule(settings),
    ).to_dict()
    _tell(found)
    return found


def _tell(found: Mapping[str, Any]) -> None:
    figures, revenue = found["figures"], found["revenue"]
    print(f"{found['contract']}, predictions from {found['window_start']} to {found['window_end']}")
    labels = f"{figures['num_labelled']} customers with a label, {figures['num_positive']} churned"
    print(f"{labels}; {found['num_unknown']} unknown; {found['feedback']['immature']} labels wait")
    for name in ("accuracy", "precision", "recall", "f1", "roc_auc", "brier", "calibration_error"):
        print(f"  {name:<18} {_text(figures[name])}")
    for name in ("revenue_at_risk", "revenue_lost", "revenue_saved"):
        print(f"  {name:<18} {_text(revenue[name], '.2f')}")
    for client, told in found["clients"].items():
        live = told["figures"]
        print(
            f"  {client}: {live['num_labelled']} labels, accuracy {_text(live['accuracy'])}, "
            f"lost {_text(told['revenue']['revenue_lost'], '.2f')}"
        )
    print(f"decay of {found['release']}: {found['decay']['verdict']}, {found['decay']['summary']}")
    estimated = found["estimated"]
    if estimated and estimated["metrics"]:
        values = (f"{one['metric']} {_text(one['estimated'])}" for one in estimated["metrics"])
        print(f"estimated without labels, {estimated['num_rows']} customers: {', '.join(values)}")


def _text(value: float | None, spelled: str = ".4f") -> str:
    return "-" if value is None else format(value, spelled)
