"""One decision per waiting trigger, each on disk before its trigger waits no longer.

Killed at any point, the next drain goes on: what is decided is not decided again, since decisions
name the arrival that they are about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fedchurn.retraining.decision import RetrainDecision, decide
from fedchurn.retraining.entry import DECISION, TRIGGER, RetrainEntry
from fedchurn.retraining.history import History, Story
from fedchurn.retraining.inbox import Arrival, TriggerInbox
from fedchurn.retraining.journal import RetrainJournal
from fedchurn.retraining.policy import RetrainPolicy
from fedchurn.retraining.situation import PastDecision, PastRetrain, Situation


@dataclass(frozen=True)
class Facts:
    """What a drain knows beside the journal.

    Attributes:
        situation: everything that is not in the journal; the rest is filled in.
        rows: name of the folder of rows to train on, "" for none.
        actor: who decides.
    """

    situation: Situation
    rows: str
    actor: str


def drain(
    contract: str,
    inbox: TriggerInbox,
    journal: RetrainJournal,
    facts: Facts,
    policy: RetrainPolicy,
) -> tuple[Story, ...]:
    """Decide about every trigger that waits, oldest event first; at most one leads to a retrain.

    Args:
        contract: its name; it makes the keys of runs.
        inbox: where triggers wait.
        journal: where decisions are written.
        facts: of the moment.
        policy: what to demand.

    Returns:
        The stories of these triggers, as far as they have come.

    Raises:
        RetrainingError: the disk refuses, or the journal is altered.
        BusyError: another drain takes very long.
    """
    with journal.lock():
        history = journal.history()
        arrivals = inbox.arrivals()
        known, told = history.decided(), history.told()
        waiting = tuple(a for a in arrivals if a.number not in known)
        entries = tuple(_entries(contract, waiting, history, facts, policy))
        journal.append(
            *(e for e in entries if e.kind == DECISION or e.facts["arrival"] not in told)
        )
        inbox.done(a.trigger.key for a in arrivals)
    pairs = zip(entries[::2], entries[1::2], strict=True)
    return tuple(Story(trigger, decision) for trigger, decision in pairs)


def _entries(
    contract: str,
    waiting: tuple[Arrival, ...],
    history: History,
    facts: Facts,
    policy: RetrainPolicy,
) -> Iterator[RetrainEntry]:
    """Trigger and decision in turn; a decision sees those before it."""
    situation = replace(
        facts.situation,
        retrains=history.past_retrains(),
        running=facts.situation.running or _open(history),
    )
    decisions = history.decisions()
    for arrival in waiting:
        trigger, time = arrival.trigger, situation.time
        one = replace(situation, same_event=decisions.get(trigger.key))
        decision = decide(trigger, one, policy)
        if decision.retrains:
            situation = replace(
                situation,
                running=f"A retrain was decided just now ({trigger.summary.rstrip('.')})",
                retrains=(*situation.retrains, PastRetrain(time, "")),
            )
        decisions[trigger.key] = PastDecision(time, decision.outcome)
        told = {**trigger.to_dict(), "arrival": arrival.number}
        yield RetrainEntry(TRIGGER, time, facts.actor, told)
        yield RetrainEntry(DECISION, time, facts.actor, _told(decision, arrival, contract, facts))


def _told(
    decision: RetrainDecision, arrival: Arrival, contract: str, facts: Facts
) -> dict[str, object]:
    key = run_key(contract, arrival) if decision.retrains else ""
    return {
        **decision.to_dict(),
        "summary": decision.summary(),
        "arrival": arrival.number,
        "run_key": key,
        "rows": facts.rows,
    }


def run_key(contract: str, arrival: Arrival) -> str:
    """Idempotency key of the training that an arrival leads to: the same, whoever works it out."""
    text = f"{contract}|{arrival.trigger.key}|{arrival.number}"
    return f"retrain-{contract}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _open(history: History) -> str:
    story = next(iter(history.open_runs), None)
    if story is None or story.decision is None:
        return ""
    return f"The retrain that was decided at {story.decision.time} is not over"
