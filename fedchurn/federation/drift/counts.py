"""What a client tells about the rows that it has now: counts per column, none of them below k.

The server chooses the model and the cells of its answers, nothing else: columns are counted in the
cells of the contract, and a session answers one question about drift, however often it is asked.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING
from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable
from fedchurn.drift.clients.client_verdicts import label_column
from fedchurn.drift.clients.noisy_counts import noisy_counts, wide_cells
from fedchurn.drift.clients.suppression import suppressed_labels, suppressed_numbers
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import DriftReference, read_reference
from fedchurn.encoding.encoder import Encoder
from fedchurn.encoding.ranges import histogram_edges
from fedchurn.errors import FederationError
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.model_messages import candidate_weights, spec_from
from fedchurn.learning.spec import predict_probability
from fedchurn.quality.content import hash_columns

PREFIX = "drift:"


class DriftCounts:
    """Answers the one question about drift that a session allows.

    Args:
        table: the client's rows as they are now; split or not. A label of -1 is not known yet.
        contract: names the columns and their cells.
    """

    def __init__(self, table: ClientTable, contract: Contract) -> None:
        self._table = table
        self._contract = contract
        self._answered: tuple[str, Reply] | None = None

    def reply(self, request: Request, min_cell_rows: int) -> Reply:
        """Counts per column, and the number of customers; the same again to the same question.

        Raises:
            FederationError: fewer than k customers; other cells than the contract's; another
                question than before.
        """
        question = _digest(request)
        if self._answered is None:
            self._answered = (question, self._counted(request, min_cell_rows))
        if self._answered[0] != question:
            raise self._refusal(
                "was asked about the same rows before, in other words",
                "ask once: two answers could be subtracted from each other",
            )
        return self._answered[1]

    def _counted(self, request: Request, min_cell_rows: int) -> Reply:
        rows = one_row_per_customer(self._table, self._contract)
        if rows.num_rows < max(min_cell_rows, 1):
            raise self._refusal(
                f"holds fewer than {min_cell_rows} customers", "ask again when there are more"
            )
        reference = self._reference(request)
        counted = _histograms(rows, reference, request)
        epsilon = float(request.config.get("epsilon", 0.0))
        if epsilon > 0:
            shown = _noisy(counted, reference, epsilon / len(counted), min_cell_rows)
        else:
            shown = {
                name: _suppressed(histogram, reference, name, min_cell_rows)
                for name, histogram in counted.items()
            }
        arrays = {PREFIX + name: counts for name, counts in shown.items()}
        numbers = {"num_rows": rows.num_rows, "min_cell_rows": min_cell_rows}
        return Reply(self._table.client, arrays, numbers)

    def _reference(self, request: Request) -> DriftReference:
        stored = json.loads(str(request.config["reference"]))
        edges = histogram_edges(self._contract)
        for name, asked in stored["edges"].items():
            if name not in edges or not np.array_equal(edges[name], asked):
                raise self._refusal(
                    f"other cells for column {name!r} than the contract's are refused",
                    "ask with the contract that the client holds",
                )
        return read_reference(stored, self._contract)

    def _refusal(self, what: str, next_step: str) -> FederationError:
        return FederationError(what, where=f"client {self._table.client}", next_step=next_step)


def one_row_per_customer(table: ClientTable, contract: Contract) -> ClientTable:
    """The table without copies; of a customer's rows the one whose content hashes lowest.

    Which one stays is as good as drawn by lot, and does not depend on other customers' rows.
    """
    if not len(table.customer_groups) or table.num_rows == 0:
        return table
    hashes = hash_columns({name: table.columns[name] for name in contract.columns})
    order = np.lexsort((hashes, table.customer_groups))
    groups = table.customer_groups[order]
    first = np.append(True, groups[1:] != groups[:-1])
    return table.take(np.sort(order[first]))


def _histograms(
    rows: ClientTable, reference: DriftReference, request: Request
) -> dict[str, Histogram]:
    encoder = Encoder.from_dict(json.loads(str(request.config["encoder"])))
    spec = spec_from(request.config)
    weights = candidate_weights(request.arrays, spec, 0)
    probabilities = predict_probability(spec, weights, encoder.encode(rows.columns))
    found = reference.histograms_of(rows.columns, probabilities)
    label = label_column(0, 0)
    # A column of the contract with this name is what its owner means by it.
    if np.any(rows.target >= 0) and label.name not in found:
        codes = np.where(rows.target < 0, MISSING, rows.target).astype(np.int32)
        found[label.name] = label.histogram_of(codes)
    return found


def _suppressed(
    histogram: Histogram, reference: DriftReference, name: str, min_cell_rows: int
) -> NDArray[np.int64]:
    numbers = {one.name for one in reference.columns if one.edges is not None}
    suppressed = suppressed_numbers if name in numbers else suppressed_labels
    return suppressed(histogram.cells.astype(np.int64), int(histogram.missing), min_cell_rows)


def _noisy(
    counted: Mapping[str, Histogram],
    reference: DriftReference,
    epsilon: float,
    min_cell_rows: int,
) -> dict[str, NDArray[np.int64]]:
    # Fresh chance that nobody else knows: with a seed of the server's the noise could be taken off.
    generator = np.random.default_rng(secrets.randbits(128))
    groups = noisy_groups(reference)
    return {
        name: noisy_counts(histogram, groups[name], epsilon, min_cell_rows, generator)
        for name, histogram in counted.items()
    }


def noisy_groups(reference: DriftReference) -> dict[str, NDArray[np.intp]]:
    """The wide cells of every column in the reference of all clients together, and of labels."""
    label = label_column(0, 0)
    columns = {one.name: one for one in (label, *reference.columns)}
    return {name: wide_cells(column) for name, column in columns.items()}


def _digest(request: Request) -> str:
    digest = hashlib.sha256(json.dumps(dict(request.config), sort_keys=True).encode())
    for name in sorted(request.arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(request.arrays[name]).tobytes())
    return digest.hexdigest()
