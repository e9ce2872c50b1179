"""The journal's entries put together into stories: trigger -> decision -> run -> release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fedchurn.retraining.entry import DECISION, OUTCOME, RUN, STARTED, TRIGGER, RetrainEntry
from fedchurn.retraining.situation import PastDecision, PastRetrain


@dataclass(frozen=True)
class Story:
    """One arrival of a trigger, and what came of it; parts that have not come yet are None."""

    trigger: RetrainEntry
    decision: RetrainEntry | None = None
    run: RetrainEntry | None = None
    started: RetrainEntry | None = None
    outcome: RetrainEntry | None = None

    @property
    def entries(self) -> tuple[RetrainEntry, ...]:
        """The parts that there are, in the order in which they happened."""
        parts = (self.trigger, self.decision, self.run, self.started, self.outcome)
        return tuple(part for part in parts if part is not None)

    @property
    def key(self) -> str:
        return str(self.trigger.facts["key"])

    @property
    def arrival(self) -> str:
        return str(self.trigger.facts["arrival"])

    @property
    def run_key(self) -> str:
        """Idempotency key of the training, "" when it was skipped or is not decided."""
        return str(_fact(self.decision, "run_key"))

    @property
    def is_open(self) -> bool:
        """Whether a training was decided whose outcome is not known."""
        return bool(self.run_key) and self.outcome is None

    def is_about(self, name: str) -> bool:
        """Whether ``name`` is its key, window, run, or the release that came of it."""
        evidence: Mapping[str, Any] = self.trigger.facts.get("evidence") or {}
        names = {
            self.key,
            self.arrival,
            str(evidence.get("window_id", "")),
            self.run_key,
            str(_fact(self.started, "flow_run_id")),
            str(_fact(self.started, "flow_run_name")),
            str(_fact(self.outcome, "version")),
        }
        release = str(_fact(self.outcome, "release_id"))
        return bool(name) and (name in names or release.startswith(name))


@dataclass(frozen=True)
class History:
    """All that the journal says; entries in order."""

    entries: tuple[RetrainEntry, ...]

    @cached_property
    def stories(self) -> tuple[Story, ...]:
        """In the order in which triggers arrived."""
        parts: dict[str, dict[str, RetrainEntry]] = {}
        arrival_of: dict[str, str] = {}
        for entry in self.entries:
            arrival = str(entry.facts.get("arrival") or arrival_of[str(entry.facts["run_key"])])
            parts.setdefault(arrival, {})[entry.kind] = entry
            if entry.kind == DECISION and entry.facts["run_key"]:
                arrival_of[str(entry.facts["run_key"])] = arrival
        return tuple(
            Story(
                trigger=found[TRIGGER],
                decision=found.get(DECISION),
                run=found.get(RUN),
                started=found.get(STARTED),
                outcome=found.get(OUTCOME),
            )
            for found in parts.values()
        )

    @property
    def retrains(self) -> tuple[Story, ...]:
        """Stories in which a training was decided, oldest first."""
        return tuple(story for story in self.stories if story.run_key)

    @property
    def open_runs(self) -> tuple[Story, ...]:
        """Trainings that were decided and whose outcome is not known."""
        return tuple(story for story in self.retrains if story.is_open)

    def told(self) -> frozenset[str]:
        """Arrivals that are in the journal."""
        return frozenset(story.arrival for story in self.stories)

    def decided(self) -> frozenset[str]:
        """Arrivals that were decided."""
        return frozenset(s.arrival for s in self.stories if s.decision is not None)

    def decisions(self) -> dict[str, PastDecision]:
        """Per event the decision that counts: that it led to a retrain, else the last skip."""
        last: dict[str, PastDecision] = {}
        for story in self.stories:
            before = last.get(story.key)
            if story.decision is None or (before is not None and before.outcome == "retrain"):
                continue
            last[story.key] = PastDecision(
                story.decision.time, str(story.decision.facts["outcome"])
            )
        return last

    def past_retrains(self) -> tuple[PastRetrain, ...]:
        """When trainings were decided, and what came out."""
        return tuple(
            PastRetrain(story.decision.time, str(_fact(story.outcome, "outcome")))
            for story in self.retrains
            if story.decision is not None
        )

    def rows_folder_name(self) -> str:
        """The folder of labelled rows that was made last, "" for none."""
        names = (str(_fact(story.decision, "rows")) for story in reversed(self.stories))
        return next((name for name in names if name), "")

    def chain_of(self, name: str) -> tuple[Story, ...]:
        """Stories of a release (its id, its beginning, or its version), drift window, event or run.

        Args:
            name: what to look for; a version with or without its ``v``.
        """
        wanted = name.removeprefix("v") if name[1:].isdigit() else name
        return tuple(story for story in self.stories if story.is_about(wanted))


def _fact(entry: RetrainEntry | None, name: str) -> Any:
    return "" if entry is None else entry.facts.get(name) or ""
