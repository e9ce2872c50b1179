"""What feedback says in the end: one label per prediction, the one that was given last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedchurn.contract.schema import Contract
from fedchurn.serving.feedback.entry import FeedbackEntry, PredictedThen, predicted_then
from fedchurn.serving.log.log_lines import LoggedPrediction

MAX_LISTED = 20


@dataclass(frozen=True, slots=True)
class SettledLabel:
    """A prediction whose outcome is known.

    Attributes:
        then: what had been predicted.
        label: what happened: 1 is churn.
        label_seconds: when the label was taken, Unix time.
        logged: the whole prediction, if it is still logged and was looked for.
    """

    then: PredictedThen
    label: int
    label_seconds: float
    logged: LoggedPrediction | None = None


@dataclass(frozen=True)
class Settled:
    """Feedback, one label per prediction.

    Attributes:
        found: predictions with the label that was given last.
        num_read: pieces of feedback.
        num_unknown: those whose prediction is not known.
        num_duplicates: those that only say again what the one before says.
        num_contradictions: those that contradict the one before.
        contradicted: ids of the predictions that were contradicted last, at most 20.
    """

    found: tuple[SettledLabel, ...]
    num_read: int
    num_unknown: int
    num_duplicates: int
    num_contradictions: int
    contradicted: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[tuple[PredictedThen, int], ...]:
        """Predictions with their labels."""
        return tuple((one.then, one.label) for one in self.found)

    def counts(self) -> dict[str, int]:
        """What became of the feedback, JSON-ready."""
        return {
            "read": self.num_read,
            "unknown": self.num_unknown,
            "duplicates": self.num_duplicates,
            "contradictions": self.num_contradictions,
        }


def settle(
    entries: Sequence[FeedbackEntry],
    predictions: Iterable[LoggedPrediction] = (),
    contract: Contract | None = None,
) -> Settled:
    """One label per prediction: the one that was given last.

    Memory grows with the feedback, not with ``predictions``.

    Args:
        entries: oldest first.
        predictions: looked through for what was not logged when its feedback came, and for the
            rows behind labels; in any order.
        contract: tells client and value of what is found among ``predictions``.
    """
    known = _Known(entries)
    for prediction in predictions:
        known.look_at(prediction)
    labels: dict[str, SettledLabel] = {}
    contradicted: dict[str, None] = {}
    num_unknown = num_duplicates = num_contradictions = 0
    for place, entry in enumerate(entries):
        one = known.label(place, entry, contract)
        if one is None:
            num_unknown += 1
            continue
        name = one.then.prediction_id
        before = labels.get(name)
        if before is not None:
            num_duplicates += before.label == one.label
            num_contradictions += before.label != one.label
            if before.label != one.label:
                contradicted.pop(name, None)
                contradicted[name] = None
        labels[name] = one
    return Settled(
        found=tuple(labels.values()),
        num_read=len(entries),
        num_unknown=num_unknown,
        num_duplicates=num_duplicates,
        num_contradictions=num_contradictions,
        contradicted=tuple(contradicted)[-MAX_LISTED:],
    )


class _Known:
    """What the log says about the predictions that feedback may mean."""

    def __init__(self, entries: Sequence[FeedbackEntry]) -> None:
        self._entries = entries
        self._wanted: set[str] = set()
        self._places_of: dict[str, list[int]] = {}
        for place, entry in enumerate(entries):
            if entry.predicted is not None:
                self._wanted.add(entry.predicted.prediction_id)
            if entry.prediction_id is not None:
                self._wanted.add(entry.prediction_id)
            elif entry.customer_id is not None:
                self._places_of.setdefault(entry.customer_id, []).append(place)
        self._by_id: dict[str, LoggedPrediction] = {}
        self._latest: dict[int, LoggedPrediction] = {}

    def look_at(self, found: LoggedPrediction) -> None:
        """Keep a prediction if some feedback may mean it."""
        if found.prediction_id in self._wanted:
            self._by_id[found.prediction_id] = found
        if not self._places_of or found.customer_id is None:
            return
        for place in self._places_of.get(found.customer_id, ()):
            before = self._latest.get(place)
            is_later = before is None or found.time_seconds >= before.time_seconds
            if is_later and found.time_seconds <= self._entries[place].until_seconds:
                self._latest[place] = found

    def label(
        self, place: int, entry: FeedbackEntry, contract: Contract | None
    ) -> SettledLabel | None:
        """What an entry says, or None when its prediction is not known.

        A customer's later prediction, that was not logged yet when the feedback came, is meant
        rather than the one that was found then.
        """
        then = entry.predicted
        if entry.prediction_id is not None:
            logged = self._by_id.get(entry.prediction_id)
        else:
            logged = self._latest.get(place)
        if then is not None and (logged is None or logged.time_seconds < then.time_seconds):
            logged = self._by_id.get(then.prediction_id)
        if logged is not None and (then is None or then.prediction_id != logged.prediction_id):
            then = predicted_then(logged, contract)
        elif logged is not None and then is not None and then.client is None and contract:
            then = predicted_then(logged, contract)  # kept by a version that left out client, value
        if then is None:
            return None
        return SettledLabel(then, entry.label, entry.time_seconds, logged)
