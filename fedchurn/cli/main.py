"""The ``fedchurn`` command: what neither ``prefect`` nor ``bentoml`` already does.

Verbs import what they need when they run, so that ``--help`` stays quick.
"""

from __future__ import annotations

import gc
import os

import typer

from fedchurn.cli import (
    client_drift_verb,
    contract_verbs,
    drift_verb,
    federate_verbs,
    key_verbs,
    model_verbs,
    personal_verb,
    privacy_verb,
    registry_verbs,
    retraining_verbs,
    serving_verbs,
)
from fedchurn.cli.argument_help import keep_argument_help
from fedchurn.quiet import apply_quiet_environment

app = typer.Typer(
    name="fedchurn",
    help="Keep one churn model alive across organisations that may not pool their rows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(contract_verbs.app, name="contract")
app.add_typer(federate_verbs.app, name="federate")
model_verbs.add_to(app)
registry_verbs.add_to(app)
retraining_verbs.add_to(app)
key_verbs.add_to(app)
serving_verbs.add_to(app)
drift_verb.add_to(app)
client_drift_verb.add_to(app)
privacy_verb.add_to(app)
personal_verb.add_to(app)


def main() -> None:
    """Entry point of the console script."""
    apply_quiet_environment(os.environ)
    # The libraries of a training make a million objects that stay: looking through them again and
    # again, and once more at the very end, would take three seconds.
    gc.set_threshold(100_000, 20, 20)
    keep_argument_help()
    try:
        app()
    finally:
        gc.freeze()
