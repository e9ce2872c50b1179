"""Verb ``check-drift``: one run of the drift runner, in this process, without a Prefect server."""

from __future__ import annotations

from typing import Any

import typer

from fedchurn.cli.model_verbs import Contract, flow_values
from fedchurn.cli.verb import Config, Json, Set, settings_from, verb


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("check-drift")(check_drift_verb)


@verb
def check_drift_verb(
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Compare what was predicted since the last look with the release in production."""
    from fedchurn.loop.watching.runner import check_drift

    found = check_drift(settings_from(config, assignments, flow_values(contract)))
    for window in found["windows"]:
        tell_window(window)
    if not found["windows"]:
        print(found["summary"])
    if found["outcome"] == "drift":
        print("A trigger waits; `fedchurn retrain` decides about it.")
    return found


def tell_window(window: dict[str, Any]) -> None:
    """Verdict, what speaks for it, and where the report is."""
    if window["is_sample"]:
        print("GENERATED SAMPLE: the release was not trained on real customers.")
    print(f"{window['verdict'].upper().replace('_', ' ')}: {window['summary']}")
    called_out = [c for c in window["drift"]["columns"] if c["column"] in _called_out(window)]
    if called_out:
        print(f"{'column':32}{'verdict':>10}{'distance':>10}{'missing':>10}{'adjusted p':>12}")
    for column in called_out:
        effects = column["effects"]
        print(
            f"{column['column']:32}{column['verdict']:>10}{effects['distance']:>10.3f}"
            f"{100 * effects['missing']:>+9.1f}%{column['adjusted_p_value']:>12.2g}"
        )
    print(f"report: {window['report_path']}")


def _called_out(window: dict[str, Any]) -> list[str]:
    return [*window["drifted"], *window["warned"]]
