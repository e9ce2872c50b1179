"""The governed retrain: settle what is open, decide about triggers, train, take down the outcome.

Everything it is in the midst of is in the journal, so whoever is killed here is gone on with by the
next look: what is decided is not decided again, and what was ordered is not ordered twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.errors import BusyError, FedchurnError, RetrainingError
from fedchurn.loop.one_run import one_run
from fedchurn.loop.production import open_journal
from fedchurn.loop.provenance import actor, now
from fedchurn.loop.retraining.base_rows import base_rows
from fedchurn.loop.retraining.facts import gather_facts
from fedchurn.loop.retraining.returned_rows import read_stored
from fedchurn.loop.retraining.stored_rows import (
    TrainingData,
    forget_returned,
    keep_training,
    returned_file,
)
from fedchurn.loop.retraining.trainer import (
    PROCESS,
    Trained,
    Trainer,
    TrainingFailed,
    make_order,
)
from fedchurn.loop.retraining.training_rows import join_rows
from fedchurn.registry.entry import LIVE_ACTIONS
from fedchurn.retraining.asking import forget_asking
from fedchurn.retraining.checks import FAILED
from fedchurn.retraining.drain import drain
from fedchurn.retraining.entry import OUTCOME, RUN, STARTED, RetrainEntry
from fedchurn.retraining.history import History, Story
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.journal import RetrainJournal
from fedchurn.retraining.places import (
    inbox_folder,
    journal_path,
    retraining_folder,
    rows_folder,
)
from fedchurn.retraining.trigger import Source, Trigger, moment
from fedchurn.settings import Settings

TURN_SECONDS = 2.0  # between looks whether another retrain has come to a decision
MAX_TURNS = 300


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


def stories_of(settings: Settings, names: Collection[str]) -> list[dict[str, Any]]:
    """What led to releases, or came of drift windows or events: each story once, JSON-ready."""
    history = retrain_site(settings).journal().history()
    found = {s.arrival: s for name in names for s in history.chain_of(name)}
    return [as_dict(story) for story in found.values()]


def as_dict(story: Story) -> dict[str, Any]:
    """A story, JSON-ready: the facts of each part that there is, by kind."""
    return {entry.kind: {"time": entry.time, **entry.facts} for entry in story.entries}


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


def decide_triggers(site: RetrainSite, *, alone: bool) -> tuple[Story, ...]:
    """One recorded decision per waiting trigger; see ``fedchurn.retraining.drain``.

    Args:
        site: whose triggers.
        alone: whether no other retrain of the contract is going on.

    Raises:
        FedchurnError: the source or the registry cannot be read; the triggers go on waiting.
    """
    forget_asking(retraining_folder(site.home, site.name))
    if not site.inbox().arrivals():
        return ()
    journal = site.journal()
    running = _training(site) if alone else "A retrain is going on"
    facts = gather_facts(site.settings, site.contract, journal.history(), now(), running)
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


def open_runs(site: RetrainSite) -> tuple[Story, ...]:
    """Trainings that were decided and whose outcome is not known."""
    return site.journal().history().open_runs


def carry_out(site: RetrainSite, story: Story, trainer: Trainer) -> Story:
    """Order a decided training, or go on with it, and take down how it ended.

    Args:
        site: whose training.
        story: an open run.
        trainer: who trains.

    Returns:
        The story as it stands now; still open when the trainer could not tell.

    Raises:
        Exception: why the training failed; that is taken down before.
    """
    try:
        story = story if story.run is not None else _prepared(site, story, trainer)
        result = _trained(site, story, trainer)
    except TrainingFailed as failed:
        _note_outcome(site, story, Trained(FAILED, "", "", str(failed.cause)))
        raise failed.cause from None
    result = result or _given_up(site, story)
    if result is not None:
        _note_outcome(site, story, _as_promoted(site, story, result))
    return _now(site, story)


def _trained(site: RetrainSite, story: Story, trainer: Trainer) -> Trained | None:
    told = _facts(story.run)
    if told["place"] != PROCESS and trainer.place == PROCESS:
        return None  # it may be running elsewhere, and nobody here can ask
    data = TrainingData.from_dict(told["data"])
    order = make_order(story.run_key, site.name, data, site.settings, site.config, site.assignments)
    return trainer.train(order, lambda run_id, name: _note_start(site, story, run_id, name))


def _prepared(site: RetrainSite, story: Story, trainer: Trainer) -> Story:
    """The story with its ``run`` entry, written when the rows are on disk."""
    try:
        data = training_data(site, str(_facts(story.decision)["rows"]))
    except FedchurnError as error:
        raise TrainingFailed(error) from error
    told = {"run_key": story.run_key, "place": trainer.place, "data": data.to_dict()}
    site.journal().append(_entry(RUN, told))
    return _now(site, story)


def training_data(site: RetrainSite, rows: str) -> TrainingData:
    """Put the source and rows that came back together, on disk.

    Args:
        site: whose rows.
        rows: name of the folder of rows that came back, "" for none.

    Raises:
        SourceError: the source cannot be read.
        RetrainingError: the rows that came back are gone.
        ReleaseError: home cannot be written.
    """
    file = returned_file(site.rows(), rows)
    if rows and file is None:
        raise RetrainingError(
            f"the rows that came back are gone: {rows}",
            where=str(site.rows()),
            next_step="put back the folder, or ask for a retrain anew",
        )
    base = base_rows(site.settings, site.contract)
    joined = join_rows(base, tuple(read_stored(file) if file else ()), site.settings, site.contract)
    digest, story = joined.digest(base), joined.story()
    if not joined.files:
        return TrainingData(digest, None, (), story)
    folder = keep_training(site.rows(), digest, joined.files)
    if not site.settings.data.clients:
        return TrainingData(digest, str(folder / f"{site.name}.csv"), (), story)
    clients = tuple(
        str(folder / f"{table.client}.csv") if f"{table.client}.csv" in joined.files else location
        for table, location in zip(base.raw, site.settings.data.clients, strict=True)
    )
    return TrainingData(digest, None, clients, story)


def _note_start(site: RetrainSite, story: Story, run_id: str, name: str) -> None:
    known = _now(site, story).started
    told = {"run_key": story.run_key, "flow_run_id": run_id, "flow_run_name": name}
    if known is None or known.facts["flow_run_id"] != run_id:
        site.journal().append(_entry(STARTED, told))


def _note_outcome(site: RetrainSite, story: Story, result: Trained) -> None:
    site.journal().append(_entry(OUTCOME, {"run_key": story.run_key, **asdict(result)}))


def _given_up(site: RetrainSite, story: Story) -> Trained | None:
    """A training of which nothing was learned for too long is lost, and stops no other."""
    limit = timedelta(hours=site.settings.retraining.max_run_hours)
    began = story.started or story.run
    if began is None or moment(now()) - moment(began.time) < limit:
        return None
    told = f"Nothing was learned of it in {site.settings.retraining.max_run_hours:g} hours."
    return Trained(FAILED, "", "", told)


def _as_promoted(site: RetrainSite, story: Story, result: Trained) -> Trained:
    """A training that was killed behind its promotion, and repeated, finds nothing to change."""
    if result.outcome != "unchanged" or story.run is None:
        return result
    history = open_journal(site.settings).history()
    ours = [e for e in history if e.action in LIVE_ACTIONS and e.release_id == result.release_id]
    if ours and moment(ours[-1].time) >= moment(story.run.time):
        return replace(result, outcome="promoted")
    return result


def _now(site: RetrainSite, story: Story) -> Story:
    stories = site.journal().history().retrains
    return next(found for found in stories if found.run_key == story.run_key)


def _entry(kind: str, facts: dict[str, Any]) -> RetrainEntry:
    return RetrainEntry(kind, now(), actor(), facts)


def _facts(entry: RetrainEntry | None) -> Any:
    return entry.facts if entry is not None else {}
