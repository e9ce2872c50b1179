"""The verb that asks clients about the rows that they have now: client-drift."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedchurn.cli.model_verbs import Contract, Data, Query, Sheet, flow_values
from fedchurn.cli.verb import Config, Json, Set, settings_from, verb


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("client-drift")(client_drift_verb)


@verb
def client_drift_verb(
    contract: Contract = None,
    data: Data = None,
    query: Query = None,
    sheet: Sheet = None,
    release: Annotated[
        Path | None,
        typer.Option("--release", help="Release folder; the one in production by default."),
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option("--epsilon", min=0, help="Noise budget per client for this check."),
    ] = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Say which clients' rows have drifted since training; they send counts only."""
    from fedchurn.loop.federated_drift import check_clients
    from fedchurn.release.load import load_release

    values = flow_values(contract, data, query, sheet=sheet)
    if epsilon is not None:
        values["drift"] = {"client_epsilon": epsilon}
    settings = settings_from(config, assignments, values)
    folder = release or _folder_in_production(settings)
    result = check_clients(settings, load_release(folder))
    _tell(result)
    return result


def _folder_in_production(settings: Any) -> Path:
    from fedchurn.loop.production import contract_name
    from fedchurn.serving.reload.release_source import chosen_release
    from fedchurn.serving.serving_settings import ServingSettings

    home, name = settings.home.resolve(), contract_name(settings)
    return chosen_release(ServingSettings(home=home, contract=name)).folder


def _tell(result: dict[str, Any]) -> None:
    print(result["summary"])
    width = max((len(one["client"]) for one in result["clients"]), default=0)
    for one in result["clients"]:
        called = [c for c in one["columns"] if c["verdict"] in ("drift", "warning")]
        called.sort(key=lambda column: column["adjusted_p_value"])
        shown = ", ".join(
            f"{c['column']} ({c['subject']}, {c['verdict']}, {_moved(c['effects'])})"
            for c in called[:5]
        )
        more = f" and {len(called) - 5} more" if len(called) > 5 else ""
        rows = f"{one['num_window_rows']} customers"
        print(f"  {one['client']:{width}}  {one['verdict']:12}  {rows:>17}  {shown}{more}")
    for client, reason in result["absent"].items():
        print(f"  {client:{width}}  absent: {reason}")
    for client, columns in result["lacking"].items():
        print(f"  {client}: the file lacks {', '.join(columns)}")
    if result["epsilon"]:
        print(f"  with noise of epsilon {result['epsilon']:g}: small windows show landslides only")


def _moved(effects: dict[str, float]) -> str:
    """What moved further: values, or the share of missing ones."""
    if abs(effects["missing"]) > effects["distance"]:
        return f"missing {100 * effects['missing']:+.1f}%"
    return f"distance {effects['distance']:.2f}"
