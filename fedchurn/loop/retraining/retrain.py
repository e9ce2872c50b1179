"""The governed retrain: settle what is open, decide about triggers, train, take down the outcome.

Everything it is in the midst of is in the journal, so whoever is killed here is gone on with by the
next look: what is decided is not decided again, and what was ordered is not ordered twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.errors import BusyError
from fedchurn.loop.one_run import one_run
from fedchurn.loop.provenance import actor, now
from fedchurn.loop.retraining.carrying import carry_out
from fedchurn.loop.retraining.facts import gather_facts
from fedchurn.loop.retraining.site import RetrainSite, as_dict, open_runs
from fedchurn.loop.retraining.stored_rows import forget_returned
from fedchurn.loop.retraining.trainer import Trainer
from fedchurn.retraining.asking import forget_asking
from fedchurn.retraining.drain import Facts, drain
from fedchurn.retraining.history import History, Story
from fedchurn.retraining.places import retraining_folder
from fedchurn.retraining.trigger import Source, Trigger
from fedchurn.settings import Settings

TURN_SECONDS = 2.0  # between looks whether another retrain has come to a decision
MAX_TURNS = 300
Gather = Callable[[Settings, Contract, History, str, str], Facts]
Decide = Callable[[bool], list[dict[str, Any]]]


@contextmanager
def only_retrain(site: RetrainSite) -> Iterator[bool]:
    """Whether this is the only retrain of the contract on this machine; it stays so inside.

    Another one that is about to decide is waited for, one that trains is not: what waits can be
    decided beside it, and is skipped, since a retrain is running.

    Raises:
        BusyError: another one has been about to decide for 10 minutes.
    """
    with ExitStack() as held:
        yield _alone(site, held)


def _alone(site: RetrainSite, held: ExitStack) -> bool:
    for turn in range(MAX_TURNS):
        try:
            held.enter_context(one_run(site.settings, wait_seconds=TURN_SECONDS, work="retrain"))
            return True
        except BusyError:
            if open_runs(site):
                return False
            if turn == MAX_TURNS - 1:
                raise
    return False


def ask_by_hand(site: RetrainSite, key: str, reason: str, *, force: bool) -> Trigger:
    """Put a person's wish into the inbox; it is on disk on return, and counts once per key."""
    trigger = Trigger(
        key=key,
        source=Source.MANUAL,
        time=now(),
        summary=f"{actor()} asks: {reason.strip() or 'no reason given'}",
        evidence={"reason": reason, "force": force, "actor": actor()},
    )
    site.inbox().add(trigger)
    return trigger


@dataclass(frozen=True)
class Retrained:
    """What one look did: decisions, and trainings as they stand now; both JSON-ready."""

    decided: tuple[dict[str, Any], ...]
    ran: tuple[dict[str, Any], ...]


def retrain_once(site: RetrainSite, trainer: Callable[[], Trainer], decide: Decide) -> Retrained:
    """Settle what is open, decide about what waits, carry out what was decided, and look again.

    Args:
        site: whose triggers.
        trainer: gives who trains; not asked when another retrain is going on.
        decide: ``decide_triggers`` of this site, told whether no other retrain is going on; gives
            ``as_dict`` of what was decided.

    Raises:
        Exception: why a training failed, or why nothing could be decided; triggers go on waiting.
    """
    decided: list[dict[str, Any]] = []
    ran: list[dict[str, Any]] = []
    with only_retrain(site) as alone:
        trains = trainer() if alone else None
        while True:
            if trains is not None:
                ran += [as_dict(carry_out(site, story, trains)) for story in open_runs(site)]
            found = decide(alone)
            decided += found
            if trains is None or not any(story["decision"]["run_key"] for story in found):
                return Retrained(tuple(decided), tuple(ran))


def decide_triggers(
    site: RetrainSite, *, alone: bool, gather: Gather = gather_facts
) -> tuple[Story, ...]:
    """One recorded decision per waiting trigger; see ``fedchurn.retraining.drain``.

    Args:
        site: whose triggers.
        alone: whether no other retrain of the contract is going on.
        gather: what the decisions stand on.

    Raises:
        FedchurnError: the source or the registry cannot be read; the triggers go on waiting.
    """
    forget_asking(retraining_folder(site.home, site.name))
    if not site.inbox().arrivals():
        return ()
    journal = site.journal()
    running = _training(site) if alone else "A retrain is going on"
    facts = gather(site.settings, site.contract, journal.history(), now(), running)
    stories = drain(site.name, site.inbox(), journal, facts, site.settings.retraining)
    _forget_old_rows(site, journal.history())
    return stories


def _training(site: RetrainSite) -> str:
    """Who trains this contract beside us, in words."""
    try:
        with one_run(site.settings, work="train"):
            return ""
    except BusyError:
        return "Another training of this contract is going on"


def _forget_old_rows(site: RetrainSite, history: History) -> None:
    used = {str(s.decision.facts["rows"]) for s in history.retrains if s.decision is not None}
    forget_returned(site.rows(), {*used, history.rows_folder_name()})
