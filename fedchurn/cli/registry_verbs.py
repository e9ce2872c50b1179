"""Verbs about production: promote, rollback, package, why, live-at, history."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fedchurn.cli.model_verbs import Contract, flow_values
from fedchurn.cli.verb import Config, Json, Set, settings_from, verb

Note = Annotated[str, typer.Option("--note", help="Why, for the journal.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("promote")(promote_verb)
    app.command("rollback")(rollback_verb)
    app.command("package")(package_verb)
    app.command("why")(why_verb)
    app.command("live-at")(live_at_verb)
    app.command("history")(history_verb)


@verb
def promote_verb(
    version: Annotated[str, typer.Argument(help="Registered version to put into production.")],
    expect: Annotated[
        str | None, typer.Option("--expect", help="Version that must be in production now.")
    ] = None,
    note: Note = "",
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Put a version into production by hand; the journal says who and why."""
    from fedchurn.loop.production import promote_by_hand

    settings = settings_from(config, assignments, flow_values(contract))
    entry = promote_by_hand(settings, version, expect, note)
    print(f"in production: {entry.title}")
    return entry_result(entry)


@verb
def rollback_verb(
    note: Note = "",
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Put the version that was live before back into production."""
    from fedchurn.loop.production import rollback_production

    settings = settings_from(config, assignments, flow_values(contract))
    entry = rollback_production(settings, note)
    print(f"in production again: {entry.title}")
    return entry_result(entry)


@verb
def package_verb(
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Make a bento of the release in production, and prove it; unchanged, nothing is built."""
    from fedchurn.cli.bento_output import tell_bento
    from fedchurn.loop.package import package_production

    result = package_production(settings_from(config, assignments, flow_values(contract)))
    tell_bento(result)
    return result


@verb
def why_verb(
    release: Annotated[str, typer.Argument(help="Release id, its beginning, or a version.")],
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Say why a release was promoted or refused, and what led to it."""
    from fedchurn.cli.retraining_output import tell_stories
    from fedchurn.loop.production import open_journal
    from fedchurn.loop.retraining.site import stories_of

    settings = settings_from(config, assignments, flow_values(contract))
    entries = open_journal(settings).why(release)
    for entry in entries:
        print(f"{entry.time}  {entry.action:12} {entry.title}  by {entry.actor}  {entry.note}")
        for reason in (entry.decision or {}).get("reasons", ()):
            print(f"    {'passed' if reason['passed'] else 'FAILED'}: {reason['sentence']}")
    stories = stories_of(settings, {entry.release_id for entry in entries})
    tell_stories(stories)
    return {"entries": [entry_result(entry) for entry in entries], "retraining": stories}


@verb
def live_at_verb(
    time: Annotated[str, typer.Argument(help="ISO time with offset: 2026-03-01T12:00+00:00.")],
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Say which release was in production at a time."""
    from fedchurn.loop.production import open_journal
    from fedchurn.registry.entry import moment

    settings = settings_from(config, assignments, flow_values(contract))
    entry = open_journal(settings).live_at(moment(time))
    print(entry.title if entry else f"nothing was in production at {time}")
    return entry_result(entry) if entry else {"version": None, "release_id": None}


@verb
def history_verb(
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Show all that happened to production, oldest first."""
    from fedchurn.loop.production import open_journal

    settings = settings_from(config, assignments, flow_values(contract))
    entries = open_journal(settings).history()
    for entry in entries:
        print(f"{entry.time}  {entry.action:12} {entry.title}  by {entry.actor}")
    if not entries:
        print("nothing happened yet; `fedchurn train` makes a first model")
    return {"entries": [entry_result(entry) for entry in entries]}


def entry_result(entry: Any) -> dict[str, Any]:
    """A journal entry, JSON-ready."""
    from dataclasses import asdict

    return asdict(entry)
