"""Carries out a training that was decided: rows, order, outcome, each taken down at once."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from fedchurn.errors import FedchurnError, RetrainingError
from fedchurn.loop.production import open_journal
from fedchurn.loop.provenance import actor, now
from fedchurn.loop.retraining.base_rows import base_rows
from fedchurn.loop.retraining.returned_rows import read_stored
from fedchurn.loop.retraining.site import RetrainSite
from fedchurn.loop.retraining.stored_rows import TrainingData, keep_training, returned_file
from fedchurn.loop.retraining.trainer import (
    PROCESS,
    Trained,
    Trainer,
    TrainingFailed,
    make_order,
)
from fedchurn.loop.retraining.training_rows import join_rows
from fedchurn.registry.entry import LIVE_ACTIONS
from fedchurn.retraining.checks import FAILED
from fedchurn.retraining.entry import OUTCOME, RUN, STARTED, RetrainEntry
from fedchurn.retraining.history import Story
from fedchurn.retraining.trigger import moment


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
