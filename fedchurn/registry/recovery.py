"""What follows the commit point of a promotion, and what puts right what a killed promoter left.

Everything here is computed from the journal and the aliases, so it may be repeated at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fedchurn.registry.decision import Decision
from fedchurn.registry.entry import INTENTIONS, Entry
from fedchurn.registry.journal import Journal
from fedchurn.registry.port import (
    ARCHIVED_TAG,
    PREVIOUS,
    PRODUCTION,
    STAGING,
    STATUS_TAG,
    ModelVersion,
    Registry,
)


@dataclass(frozen=True)
class Act:
    """Who changes the registry, and when.

    Attributes:
        actor: person or flow.
        time: ISO 8601 with a UTC offset.
        note: free text, for example why a person overrides.
    """

    actor: str
    time: str
    note: str = ""


def recover(registry: Registry, journal: Journal, act: Act) -> str:
    """Finish or abandon what a killed promoter left; call it at every start.

    Returns:
        what was done, in words; "" when there was nothing to do.
    """
    with journal.lock():
        story = _settle(registry, journal, act)
        live = registry.aliases().get(PRODUCTION)
        if live != journal.champion():
            story += _adopt(registry, journal, live, act)
        return story.strip()


def _settle(registry: Registry, journal: Journal, act: Act) -> str:
    intent = journal.pending()
    if intent is None:
        return ""
    story = f"{intent.actor} began at {intent.time}: {intent.title}"
    if registry.aliases().get(PRODUCTION) == intent.version:
        finish(registry, journal, intent)
        return f"finished what {story} is live. "
    _abandon(journal, intent, act)
    return f"abandoned what {story} is not live. "


def _abandon(journal: Journal, intent: Entry, act: Act) -> None:
    note = f"{intent.action} by {intent.actor} at {intent.time} is not in production"
    entry = replace(intent, action="abandon", actor=act.actor, time=act.time, note=note)
    journal.append(entry, intent.champion_before)


def _adopt(registry: Registry, journal: Journal, live: str | None, act: Act) -> str:
    version = (registry.find(live) if live else None) or ModelVersion(live or "", "", "")
    before = journal.champion()
    if live and before and registry.find(before) is not None:
        registry.set_alias(PREVIOUS, before)
        _tag(registry, {live, before}, live=live, previous=before)
    note = f"found in production; the journal knew {before or 'nothing'}"
    journal.append(replace(entry_about("adopt", version, before, act, None), note=note), before)
    return (
        f"noted that production was changed outside: {before or 'nothing'} -> {live or 'nothing'}."
    )


def finish(registry: Registry, journal: Journal, intent: Entry) -> Entry:
    """Everything after the commit point: other aliases, tags, the entry that says it is done."""
    before = journal.lineage()
    after = _lineage_after(before, intent)
    previous = after[-2] if len(after) > 1 and registry.find(after[-2]) else None
    if previous is None:
        registry.delete_alias(PREVIOUS)
    else:
        registry.set_alias(PREVIOUS, previous)
    _tag(registry, {*before[-2:], *after[-2:]}, live=intent.version, previous=previous)
    if registry.aliases().get(STAGING) == intent.version:
        registry.delete_alias(STAGING)
    entry = replace(intent, action=INTENTIONS[intent.action])
    journal.append(entry, intent.champion_before)
    return entry


def _lineage_after(before: tuple[str, ...], intent: Entry) -> tuple[str, ...]:
    kept = before[:-1] if intent.action == "rolling_back" else before
    return kept if kept[-1:] == (intent.version,) else (*kept, intent.version)


def _tag(registry: Registry, touched: set[str], *, live: str, previous: str | None) -> None:
    for version in sorted(touched):
        if registry.find(version) is None:  # somebody deleted an old version
            continue
        status = {previous: "Previous", live: "Production"}.get(version, "Archived")
        registry.set_tags(
            version, {STATUS_TAG: status, ARCHIVED_TAG: str(status == "Archived").lower()}
        )


def entry_about(
    action: str,
    version: ModelVersion,
    champion: str | None,
    act: Act,
    decision: Decision | None,
) -> Entry:
    """A journal entry about a version."""
    return Entry(
        action=action,
        version=version.version,
        release_id=version.release_id,
        run_id=version.run_id,
        actor=act.actor,
        time=act.time,
        champion_before=champion,
        decision=decision.to_dict() if decision is not None else None,
        note=act.note,
    )
