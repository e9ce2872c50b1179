"""Verb ``personal``: a release that answers with a client's own model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedchurn.cli.verb import Config, Json, Set, settings_from, verb


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("personal")(personal_verb)


@verb
def personal_verb(
    release: Annotated[Path, typer.Argument(help="Folder of the release of all clients.")],
    own: Annotated[
        Path, typer.Argument(help="The client's folder, HOME/personal/CONTRACT/CLIENT.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for releases; HOME/releases by default.")
    ] = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Make a release that answers with a client's own model and threshold, to serve beside it."""
    from fedchurn.loop.personal_release import personal_release

    settings = settings_from(config, assignments, None)
    folder, model = personal_release(release, own, out or settings.home.resolve() / "releases")
    near = "model of all" if model.strength is None else f"strength {model.strength:g}"
    print(f"client {model.client}: {near}, threshold {model.threshold:.4f}")
    print(f"release: {folder}")
    return {
        "client": model.client,
        "strength": model.strength,
        "threshold": model.threshold,
        "release_folder": str(folder),
    }
