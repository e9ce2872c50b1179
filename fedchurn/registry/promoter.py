"""Change production so that it is always exactly one model, whatever is killed and when.

    lock -> recover -> is production what the judge saw? -> announce in the journal
         -> ONE alias write (the commit point) -> tags and other aliases -> say it is done

Killed before the alias write: the next ``recover`` abandons the change. Killed after it: the next
``recover`` finishes it. Every step after the commit point may be repeated. A registry has no
compare-and-set of its own (two promoters who read and then set both believe to have won), hence the
lock, which stands beside the journal.
"""

from __future__ import annotations

from dataclasses import replace

from fedchurn.errors import PromotionError
from fedchurn.registry.decision import Decision
from fedchurn.registry.entry import INTENTIONS, Entry
from fedchurn.registry.journal import Journal, conflict
from fedchurn.registry.port import (
    ARCHIVED_TAG,
    PREVIOUS,
    PRODUCTION,
    STAGING,
    STATUS_TAG,
    ModelVersion,
    Registry,
)
from fedchurn.registry.recovery import Act, entry_about, finish, recover


def promote(
    registry: Registry,
    journal: Journal,
    candidate: str,
    expected_champion: str | None,
    decision: Decision | None,
    act: Act,
) -> Entry:
    """Put ``candidate`` into production.

    Args:
        registry: where the versions are.
        journal: shared by all promoters of this model.
        candidate: version to promote.
        expected_champion: version that the candidate was judged against; None: nothing was live.
        decision: the judgement; None when a person promotes by hand.
        act: who and when.

    Returns:
        the journal's entry; the old one when this very promotion was done before (a retry).

    Raises:
        PromotionRefused: the decision is a refusal.
        PromotionConflict: another version went live meanwhile; says which, when and by whom.
        PromotionError: there is no such version.
    """
    if decision is not None and not decision.promoted:
        raise decision.refusal()
    with journal.lock():
        recover(registry, journal, act)
        done = _already_done(journal, candidate, expected_champion)
        if done is not None:
            return done
        _expect(registry, journal, expected_champion)
        version = _found(registry, candidate)
        entry = entry_about("promoting", version, expected_champion, act, decision)
        return _change(registry, journal, entry)


def rollback(
    registry: Registry, journal: Journal, act: Act, expected_champion: str | None = None
) -> Entry:
    """Put the version that was live before back into production; repeat to go further back.

    Repeating a rollback that was killed half-way finishes it, and does not go back twice.

    Args:
        registry: where the versions are.
        journal: shared by all promoters of this model.
        act: who and when.
        expected_champion: version to roll back from, when the caller knows it.

    Raises:
        PromotionConflict: another version than ``expected_champion`` is live.
        PromotionError: there is no earlier version.
    """
    with journal.lock():
        pending = journal.pending()
        recover(registry, journal, act)
        last = journal.history()[-1:]
        if pending is not None and last and last[0] == replace(pending, action="rollback"):
            return last[0]
        if expected_champion is not None:
            _expect(registry, journal, expected_champion)
        aliases = registry.aliases()
        target = aliases.get(PREVIOUS)
        if target is None:
            raise PromotionError(
                "there is no earlier version to go back to",
                where=f"registered model {registry.name}",
                next_step="promote a version by its number instead",
            )
        champion = aliases.get(PRODUCTION)
        entry = entry_about("rolling_back", _found(registry, target), champion, act, None)
        return _change(registry, journal, entry)


def refuse(
    registry: Registry, journal: Journal, candidate: str, decision: Decision, act: Act
) -> Entry:
    """Note a refusal: the candidate is tagged archived, production stays. Repeating adds nothing.

    The entry's action is ``archive`` for a first model below the floors, else ``refuse``.
    """
    with journal.lock():
        recover(registry, journal, act)
        aliases = registry.aliases()
        action = "archive" if decision.is_first else "refuse"
        version = _found(registry, candidate)
        entry = entry_about(action, version, journal.champion(), act, decision)
        if candidate not in (aliases.get(PRODUCTION), aliases.get(PREVIOUS)):
            _archive(registry, candidate, decision.summary())
        told = [e for e in journal.history() if e.version == candidate]
        if told and (told[-1].action, told[-1].decision) == (action, entry.decision):
            return told[-1]
        journal.append(entry, entry.champion_before)
        return entry


def stage(registry: Registry, version: str) -> None:
    """Mark a version as the one under judgement."""
    _found(registry, version)
    registry.set_alias(STAGING, version)
    registry.set_tags(version, {STATUS_TAG: "Staging", ARCHIVED_TAG: "false"})


def _expect(registry: Registry, journal: Journal, expected: str | None) -> None:
    actual = registry.aliases().get(PRODUCTION)
    if actual != expected:
        raise conflict(journal.lines(), expected, actual)


def _already_done(journal: Journal, candidate: str, expected: str | None) -> Entry | None:
    live = [e for e in journal.history() if e.action in (*INTENTIONS.values(), "adopt")]
    last = live[-1] if live else None
    same = last is not None and (last.action, last.version, last.champion_before) == (
        "promote",
        candidate,
        expected,
    )
    return last if same else None


def _change(registry: Registry, journal: Journal, intent: Entry) -> Entry:
    if intent.version == intent.champion_before:
        raise PromotionError(
            f"{intent.title} is in production already",
            where=f"registered model {registry.name}",
            next_step="nothing is needed",
        )
    journal.append(intent, intent.champion_before)
    registry.set_alias(PRODUCTION, intent.version)  # the commit point
    return finish(registry, journal, intent)


def _archive(registry: Registry, candidate: str, reason: str) -> None:
    registry.set_tags(
        candidate, {STATUS_TAG: "Archived", ARCHIVED_TAG: "true", "archived_reason": reason[:2000]}
    )
    if registry.aliases().get(STAGING) == candidate:
        registry.delete_alias(STAGING)


def _found(registry: Registry, version: str) -> ModelVersion:
    found = registry.find(version)
    if found is None:
        known = ", ".join(v.version for v in registry.versions()[-8:]) or "none"
        raise PromotionError(
            f"there is no version {version!r}",
            where=f"registered model {registry.name}",
            next_step=f"choose one of: {known}",
        )
    return found
