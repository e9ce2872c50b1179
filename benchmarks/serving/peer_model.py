"""What the peers answer with: a pydantic model of the contract, and the same weights in numpy.

Kind to them: no warnings, no metrics, no log, no fallback, and fewer fields in the answer.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from benchmarks.serving.contract_name import CONTRACT
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Column, Contract
from fedchurn.release.load import load_release
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.predictor import Predictor


class PeerAnswer(BaseModel):
    """The answer about one customer."""

    model_config = ConfigDict(protected_namespaces=())

    prediction_id: str
    churn_probability: float
    churn_prediction: int
    risk_level: str
    model_version: str
    release: str
    latency_ms: float


def request_model(contract: Contract) -> type[BaseModel]:
    """A customer with the contract's hard limits, labels and aliases; other fields are refused."""
    fields: dict[str, Any] = {}
    for name, column in contract.columns.items():
        kind = _kind(column)
        fields[name] = (kind | None, None) if column.nullable else (kind, ...)
    if contract.id is not None:
        fields[contract.id.column] = (int | str | None, None)
    return create_model("Customer", __config__=ConfigDict(extra="forbid"), **fields)


def _kind(column: Column) -> Any:
    if column.is_number:
        low, high = column.hard or (None, None)
        number: Any = int if column.kind == "integer" else float
        return Annotated[number, Field(ge=low, le=high, allow_inf_nan=False)]
    labels = [*(column.categories or ()), *column.aliases]
    return Literal[tuple(map(int, labels) if column.integer_categories else labels)]


# The peers' routes are typed with it, so it must be there when their modules are imported.
Customer: Any = request_model(load_contract(CONTRACT))


class Peer:
    """Scores customers with the release of ``FEDCHURN_RELEASE``.

    Args:
        predictor: another way to a probability, such as Keras.
    """

    def __init__(self, predictor: Any = None) -> None:
        release = load_release(Path(os.environ["FEDCHURN_RELEASE"]))
        self._score = (predictor or Predictor(release.model)).one
        self._release = release.release_id
        self._threshold = release.card.threshold
        self._bands = release.contract.risk_bands
        columns = release.contract.columns.items()
        self._aliases = {name: dict(column.aliases) for name, column in columns if column.aliases}
        self._names = tuple(release.contract.columns)
        self._ids = PredictionIds()

    def answer(self, customer: Any) -> PeerAnswer:
        """The answer about a customer that pydantic has let through."""
        begun = time.perf_counter()
        values = {name: getattr(customer, name) for name in self._names}
        for name, aliases in self._aliases.items():
            values[name] = aliases.get(values[name], values[name])
        probability = self._score(values)
        bands = (b.name for b in self._bands if b.below is None or probability < b.below)
        return PeerAnswer(
            prediction_id=self._ids.new(),
            churn_probability=probability,
            churn_prediction=int(probability >= self._threshold),
            risk_level=next(bands),
            model_version="1",
            release=self._release,
            latency_ms=(time.perf_counter() - begun) * 1000.0,
        )
