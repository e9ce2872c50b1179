"""What a decision about retraining stands on: production, the source, and labels that came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.loop.provenance import actor
from fedchurn.loop.retraining.base_rows import BaseRows, base_rows, known_hashes, row_hashes
from fedchurn.loop.retraining.champion import champion_card, objection, validate_stages
from fedchurn.loop.retraining.returned_rows import returned_rows
from fedchurn.loop.retraining.stored_rows import keep_returned, returned_file
from fedchurn.loop.retraining.training_rows import Joined, join_rows
from fedchurn.release.card import Card
from fedchurn.retraining.checks import FAILED
from fedchurn.retraining.drain import Facts
from fedchurn.retraining.history import History
from fedchurn.retraining.places import rows_folder
from fedchurn.retraining.situation import NewRows, Situation
from fedchurn.settings import Settings


def gather_facts(
    settings: Settings, contract: Contract, history: History, time: str, running: str
) -> Facts:
    """Facts of the moment; rows that came back are kept on the way, since logs do not last.

    Args:
        settings: of the training that would begin.
        contract: of the rows.
        history: of the journal.
        time: now, ISO 8601.
        running: who trains already, "" for nobody.

    Raises:
        SourceError: the source, or a log, cannot be read.
        TrackingError: MLflow is away.
        ReleaseError: home cannot be written.
    """
    folder = rows_folder(settings.home.resolve(), contract.contract)
    collected = returned_file(folder, history.rows_folder_name())
    returned = returned_rows(settings, contract, collected, time)
    base = base_rows(settings, contract)
    joined = join_rows(base, returned.rows, settings, contract)
    found = champion_card(settings)
    release_id, card = found if found else ("", None)
    unknown = _Unseen(base, joined, settings, contract, card)
    situation = Situation(
        time=time,
        champion_release_id=release_id,
        running=running,
        new_rows=unknown.new_rows(returned.num_immature, settings.feedback.maturity_days),
        same_data_as=unknown.same_as_champion(release_id) or _same_as(history, joined.digest(base)),
        objection=objection(card, base, settings) if card else "",
    )
    return Facts(situation, keep_returned(folder, returned.rows), actor())


class _Unseen:
    """Which rows the model in production has not seen."""

    def __init__(
        self,
        base: BaseRows,
        joined: Joined,
        settings: Settings,
        contract: Contract,
        card: Card | None,
    ) -> None:
        self._joined = joined
        seen = _seen(settings, contract, card)
        self._is_known = seen is not None or card is None
        known = np.empty(0, np.uint64) if seen is None else seen.hashes
        self._new = ~np.isin(joined.added_hashes, known)
        self._num_source = 0
        if seen is None or not seen.is_of(base):
            hashes = [_with_outcome(base, place, contract) for place in range(len(base.raw))]
            self._num_source = int((~np.isin(np.concatenate(hashes), known)).sum())

    def new_rows(self, num_immature: int, maturity_days: float) -> NewRows:
        joined, new = self._joined, self._new
        return NewRows(
            num_labelled=int(new.sum()),
            num_positive=int((new & joined.added_positive).sum()),
            num_replaced=joined.num_replaced,
            num_immature=num_immature,
            num_unusable=sum(joined.unusable.values()),
            unusable=", ".join(f"{name} {num}" for name, num in sorted(joined.unusable.items())),
            num_source=self._num_source if self._is_known else None,
            maturity_days=maturity_days,
        )

    def same_as_champion(self, release_id: str) -> str:
        is_same = self._is_known and not self._num_source and not self._new.any()
        return f"the model in production, {release_id}" if release_id and is_same else ""


@dataclass(frozen=True)
class _Seen:
    """The rows of a release: content hashes, and sha256 of the files that they came from."""

    hashes: NDArray[np.uint64]
    sources: frozenset[str]

    def is_of(self, base: BaseRows) -> bool:
        return self.sources == {table.sha256 for table in base.raw}


def _seen(settings: Settings, contract: Contract, card: Card | None) -> _Seen | None:
    if card is None:
        return None
    for stage in validate_stages(settings.home):
        hashes = known_hashes(stage, card.data_digests, contract)
        if hashes is not None:
            return _Seen(hashes, frozenset(stage.get("source_sha256", ())))
    return None


def _with_outcome(base: BaseRows, place: int, contract: Contract) -> NDArray[np.uint64]:
    """Hashes of the rows of one table whose outcome is known."""
    table = base.canonical[place]
    has_outcome = table.frame[contract.target.column].notna().to_numpy(bool)
    return row_hashes(table, contract)[has_outcome]


def _same_as(history: History, digest: str) -> str:
    """The finished retrain on exactly these rows, in words; "" for none."""
    for story in reversed(history.retrains):
        if story.run is None or story.outcome is None or story.outcome.facts["outcome"] == FAILED:
            continue
        data: Mapping[str, Any] = story.run.facts["data"]
        if data["digest"] == digest:
            return (
                f"the retrain of {story.run.time}, which ended as {story.outcome.facts['outcome']}"
            )
    return ""
