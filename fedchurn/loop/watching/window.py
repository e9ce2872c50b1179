"""Second reading: what a window is reduced to. Histograms add, so memory does not grow with it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import DriftReference
from fedchurn.drift.verdict import RELATION_COLUMN, SCORE_COLUMN
from fedchurn.loop.watching.same_customers import customer_hashes, merge_hashes
from fedchurn.release.canonical import values_to_columns
from fedchurn.serving.feedback.client_and_value import client_of
from fedchurn.serving.log.log_lines import LoggedPrediction
from fedchurn.serving.records import CHAMPION

CHUNK_ROWS = 5000


@dataclass
class Part:
    """Histograms of some rows, by column.

    Attributes:
        num_rows: customers.
        histograms: over the reference's cells.
    """

    num_rows: int = 0
    histograms: dict[str, Histogram] = field(default_factory=dict)

    def add(self, num_rows: int, more: Mapping[str, Histogram]) -> None:
        """Take more rows in."""
        self.num_rows += num_rows
        for name, histogram in more.items():
            known = self.histograms.get(name)
            self.histograms[name] = histogram if known is None else known + histogram

    def without(self, names: Iterable[str]) -> Part:
        """The same without some columns."""
        left = {name: one for name, one in self.histograms.items() if name not in set(names)}
        return Part(self.num_rows, left)


@dataclass(frozen=True)
class Window:
    """What the customers of a window look like.

    Attributes:
        all: all of them.
        clients: those of each client that the release knows.
        num_other_clients: customers of none of these.
        probabilities: churn probabilities that the model itself gave, float64 (m,).
        models_used: customers by who answered.
        left_out: columns that say nothing, because some values were not kept.
        customers: some hashes of them (``same_customers``).
    """

    all: Part
    clients: Mapping[str, Part]
    num_other_clients: int
    probabilities: NDArray[np.float64]
    models_used: Mapping[str, int]
    left_out: tuple[str, ...]
    customers: tuple[int, ...] = ()


def gather(
    predictions: Iterable[LoggedPrediction],
    contract: Contract,
    reference: DriftReference,
    clients: Sequence[str] = (),
) -> Window:
    """Add predictions up, chunk by chunk.

    Answers of a fallback say nothing about the model, so they are not in the score's column.

    Args:
        predictions: one per customer.
        contract: the release's.
        reference: the release's; names columns and cells.
        clients: clients of the release, as dealing by the silo column names them.
    """
    everyone, by_client = Part(), {name: Part() for name in clients}
    models_used: Counter[str] = Counter()
    left_out: set[str] = set()
    scores: list[NDArray[np.float64]] = []
    customers: tuple[int, ...] = ()
    for chunk in _chunks(predictions):
        columns = reference.with_errors(_columns(chunk, contract))
        rows = _Rows(columns, _model_probabilities(chunk))
        left_out |= contract.columns.keys() - _logged(chunk[0])
        models_used.update(one.model_used for one in chunk)
        customers = merge_hashes(customers, customer_hashes(one.customer_id for one in chunk))
        scores.append(rows.scores())
        everyone.add(len(chunk), rows.histograms(reference))
        for name, places in _places(chunk, contract, by_client).items():
            by_client[name].add(len(places), rows.take(places).histograms(reference))
    probabilities = np.concatenate(scores) if scores else np.zeros(0)
    useless = _useless(left_out, len(probabilities))
    return Window(
        all=everyone.without(useless),
        clients={name: part.without(useless) for name, part in by_client.items() if part.num_rows},
        num_other_clients=everyone.num_rows - sum(part.num_rows for part in by_client.values()),
        probabilities=probabilities,
        models_used=dict(models_used),
        left_out=tuple(name for name in contract.columns if name in left_out),
        customers=customers,
    )


@dataclass(frozen=True)
class _Rows:
    columns: Columns
    answered: NDArray[np.float64]  # churn probabilities (n,), NaN where a fallback answered

    def take(self, places: NDArray[np.intp]) -> _Rows:
        taken = {name: values[places] for name, values in self.columns.items()}
        return _Rows(taken, self.answered[places])

    def scores(self) -> NDArray[np.float64]:
        return self.answered[~np.isnan(self.answered)]

    def histograms(self, reference: DriftReference) -> dict[str, Histogram]:
        return reference.histograms_of(self.columns, self.scores())


def _chunks(predictions: Iterable[LoggedPrediction]) -> Iterator[list[LoggedPrediction]]:
    """Up to ``CHUNK_ROWS`` predictions with the same columns."""
    for _, same in itertools.groupby(predictions, _logged_order):
        while chunk := list(itertools.islice(same, CHUNK_ROWS)):
            yield chunk


def _logged_order(prediction: LoggedPrediction) -> tuple[str, ...]:
    return prediction.schema.columns if prediction.schema else ()


def _logged(prediction: LoggedPrediction) -> frozenset[str]:
    return frozenset(_logged_order(prediction))


def _columns(chunk: Sequence[LoggedPrediction], contract: Contract) -> Columns:
    """Canonical columns; one whose values were not kept is missing everywhere."""
    values = dict.fromkeys(contract.columns, [None] * len(chunk))
    logged = zip(*(one.values for one in chunk), strict=True)
    known = dict(zip(_logged_order(chunk[0]), map(list, logged), strict=True))
    return values_to_columns({**values, **known}, contract)


def _model_probabilities(chunk: Sequence[LoggedPrediction]) -> NDArray[np.float64]:
    found = [one.probability if one.model_used == CHAMPION else np.nan for one in chunk]
    return np.asarray(found, dtype=np.float64)


def _places(
    chunk: Sequence[LoggedPrediction], contract: Contract, clients: Mapping[str, Part]
) -> dict[str, NDArray[np.intp]]:
    """Rows of the chunk by client; a customer of no client that is known is in none."""
    silo = contract.silo_column
    if silo is None or silo not in _logged(chunk[0]):
        return {}
    column = _logged_order(chunk[0]).index(silo)
    names = np.asarray(
        [client_of({silo: one.values[column]}, contract) for one in chunk], dtype=object
    )
    found = {name: np.flatnonzero(names == name) for name in clients}
    return {name: places for name, places in found.items() if len(places)}


def _useless(left_out: set[str], num_scores: int) -> set[str]:
    useless = set(left_out)
    if left_out:  # how columns go together cannot be said without one of them
        useless.add(RELATION_COLUMN)
    if not num_scores:
        useless.add(SCORE_COLUMN)
    return useless
