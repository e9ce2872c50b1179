"""Customers of a stretch of the log, each once: whose outcome is open, and whose should be known.

Rows that repeat would make every figure look better known than it is: a caller who asks about the
same customers every day has not observed more customers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Contract
from fedchurn.serving.feedback.client_and_value import client_of, value_of
from fedchurn.serving.feedback.entry import PredictedThen
from fedchurn.serving.feedback.settling import SettledLabel
from fedchurn.serving.log.log_lines import LoggedPrediction, LogSchema


class Scored(NamedTuple):
    """The newest prediction of a customer, without its row.

    Attributes:
        time_seconds: Unix time of the answer.
        prediction_id: its id.
        release: release that was asked.
        model_used: which of its models answered.
        probability: churn probability (0-1).
        prediction: 1 where a churner was called.
        value: what the customer is worth, or None.
        client: name of the client, or None.
    """

    time_seconds: float
    prediction_id: str
    release: str
    model_used: str
    probability: float
    prediction: int
    value: float | None
    client: str | None


class Customers:
    """Collects the newest prediction of each customer from a stream that others read.

    Memory: some 400 bytes per customer.

    Args:
        contract: tells client and value.
        mature_before_seconds: predictions up to this Unix time should have a label by now.
    """

    def __init__(self, contract: Contract, mature_before_seconds: float) -> None:
        self._contract = contract
        self._mature_before = mature_before_seconds
        self._newest: dict[str, Scored] = {}
        self._mature: set[str] = set()
        self._wanted = {contract.silo_column, contract.value_column}
        self._places: dict[int, tuple[LogSchema | None, list[tuple[str, int]]]] = {}

    def passing(self, predictions: Iterable[LoggedPrediction]) -> Iterator[LoggedPrediction]:
        """Hand ``predictions`` on, remembering what is needed of each."""
        for found in predictions:
            key = customer_key(found.customer_id, found.prediction_id)
            if found.time_seconds <= self._mature_before:
                self._mature.add(key)
            before = self._newest.get(key)
            if before is None or found.time_seconds >= before.time_seconds:
                self._newest[key] = self._scored(found)
            yield found

    def open_ones(self, labels: Iterable[SettledLabel]) -> list[Scored]:
        """Customers whose newest prediction is not mature and has no label."""
        known = {one.then.prediction_id for one in labels}
        return [
            one
            for one in self._newest.values()
            if one.time_seconds > self._mature_before and one.prediction_id not in known
        ]

    def num_unknown(self, labels: Sequence[SettledLabel]) -> int:
        """Customers with a mature prediction and no label on any."""
        known = {customer_key(one.then.customer_id, one.then.prediction_id) for one in labels}
        return len(self._mature - known)

    def _scored(self, found: LoggedPrediction) -> Scored:
        row = self._needed(found)
        return Scored(
            time_seconds=found.time_seconds,
            prediction_id=found.prediction_id,
            release=found.release,
            model_used=found.model_used,
            probability=found.probability,
            prediction=found.prediction,
            value=value_of(row, self._contract),
            client=client_of(row, self._contract),
        )

    def _needed(self, found: LoggedPrediction) -> dict[str, Value]:
        """The columns that tell client and value, of those that were logged."""
        known = self._places.get(id(found.schema))
        if known is None:  # once per file
            columns = found.schema.columns if found.schema else ()
            places = [(name, at) for at, name in enumerate(columns) if name in self._wanted]
            known = self._places[id(found.schema)] = (found.schema, places)  # keeps the id its own
        return {name: found.values[at] for name, at in known[1]}


def customer_key(customer_id: str | None, prediction_id: str) -> str:
    """Whose prediction it is; without an id every prediction is somebody else's."""
    return f"p{prediction_id}" if customer_id is None else f"c{customer_id}"


def one_per_customer(labels: Iterable[SettledLabel]) -> list[SettledLabel]:
    """Of each customer the label of the newest prediction; ``labels`` oldest prediction first."""
    return list({_key(one.then): one for one in labels}.values())


def _key(then: PredictedThen) -> str:
    return customer_key(then.customer_id, then.prediction_id)
