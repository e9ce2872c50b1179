"""The verb about retraining."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fedchurn.cli.model_verbs import Contract, flow_values
from fedchurn.cli.verb import Config, Json, Set, settings_from, verb


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("retrain")(retrain_verb)


@verb
def retrain_verb(
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason", help="Ask for a retrain, and why; without it, what waits is decided."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Override what a person may (cooldown, budget, ...).")
    ] = False,
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Decide about what asks for a retrain, with reasons, and train if it is worth it."""
    from fedchurn.cli.retraining_output import run_retrain_flow, tell_outcome

    settings = settings_from(config, assignments, flow_values(contract))
    outcome = run_retrain_flow(
        settings,
        reason if reason is not None or not force else "forced",
        force=force,
        config=str(config) if config else None,
        assignments=assignments or [],
    )
    tell_outcome(outcome)
    return outcome
