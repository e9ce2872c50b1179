"""Where the retraining of one contract lives, and what it has been through."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.retraining.history import Story
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.journal import RetrainJournal
from fedchurn.retraining.places import inbox_folder, journal_path, rows_folder
from fedchurn.settings import Settings


@dataclass(frozen=True)
class RetrainSite:
    """Where the retraining of one contract lives, and what it was asked with.

    Attributes:
        settings: of the trainings.
        contract: of the rows.
        config, assignments: where the settings came from, for trainings elsewhere.
    """

    settings: Settings
    contract: Contract
    config: str | None = None
    assignments: tuple[str, ...] = ()

    @property
    def home(self) -> Path:
        return self.settings.home.resolve()

    @property
    def name(self) -> str:
        return self.contract.contract

    def inbox(self) -> TriggerInbox:
        hours = self.settings.retraining.repeat_hours
        return TriggerInbox(inbox_folder(self.home, self.name), repeat_hours=hours)

    def journal(self) -> RetrainJournal:
        return RetrainJournal(journal_path(self.home, self.name))

    def rows(self) -> Path:
        return rows_folder(self.home, self.name)


def retrain_site(
    settings: Settings, config: str | None = None, assignments: Sequence[str] = ()
) -> RetrainSite:
    """The site behind settings.

    Raises:
        ContractError: there is no such contract.
    """
    return RetrainSite(settings, load_contract(settings.contract), config, tuple(assignments))


def open_runs(site: RetrainSite) -> tuple[Story, ...]:
    """Trainings that were decided and whose outcome is not known."""
    return site.journal().history().open_runs


def stories_of(settings: Settings, names: Collection[str]) -> list[dict[str, Any]]:
    """What led to releases, or came of drift windows or events: each story once, JSON-ready."""
    history = retrain_site(settings).journal().history()
    found = {s.arrival: s for name in names for s in history.chain_of(name)}
    return [as_dict(story) for story in found.values()]


def as_dict(story: Story) -> dict[str, Any]:
    """A story, JSON-ready: the facts of each part that there is, by kind."""
    return {entry.kind: {"time": entry.time, **entry.facts} for entry in story.entries}
