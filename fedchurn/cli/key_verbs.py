"""The verb that makes API keys for the service."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fedchurn.cli.verb import Config, Json, Set, settings_from, verb


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("api-key")(api_key_verb)


@verb
def api_key_verb(
    name: Annotated[str, typer.Argument(help="Who will hold the key; no two alike.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", help="predict or admin; several allowed. Default: predict."),
    ] = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Make a random key for the service; it is shown once, and kept nowhere."""
    from fedchurn.serving.access.api_keys import new_api_key

    settings_from(config, assignments)  # every verb refuses settings that are wrong
    key, entry = new_api_key(name, scopes or ["predict"])
    print(f"key, for {name} only:\n    {key}")
    print(f"entry for FEDCHURN_SERVE_API_KEYS, where commas join several:\n    {entry}")
    return {"name": name, "key": key, "entry": entry}
