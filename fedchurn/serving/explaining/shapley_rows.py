"""Rows between a customer and the reference: some fields of the one, the rest of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns, add_derived
from fedchurn.contract.conditions import Value
from fedchurn.contract.customer_rows import row_columns
from fedchurn.contract.derived import Bins, Count, Cross, Derived, Hashed, Product, Ratio, Threshold
from fedchurn.contract.schema import Contract
from fedchurn.release.scorer import Scorer
from fedchurn.serving.explaining.reference_customer import ReferenceCustomer
from fedchurn.serving.explaining.shapley_coalitions import Coalitions
from fedchurn.serving.explaining.shapley_players import Player


@dataclass(frozen=True, eq=False)
class RowArrays:
    """A row as ``ReferenceCustomer.numbers`` and ``.codes``: float64 and int32 arrays."""

    numbers: NDArray[np.float64]
    codes: NDArray[np.int32]


class MixedRows:
    """Makes the rows of one model; derived features are computed afresh for every row."""

    def __init__(self, scorer: Scorer, reference: ReferenceCustomer) -> None:
        contract = scorer.contract
        self._contract = contract
        self._encoder = scorer.encoder
        self._reference = reference
        self._number_names = contract.number_columns
        self._code_names = contract.coded_columns
        self._places = {name: place for place, name in enumerate(contract.columns)}
        self._number_places = [self._places[name] for name in self._number_names]
        self._code_places = [self._places[name] for name in self._code_names]
        self._tied_columns = _tied_columns(contract)

    def read(self, values: Mapping[str, Value]) -> RowArrays:
        """A customer's canonical values as arrays."""
        columns = row_columns(values, self._contract)
        return RowArrays(
            np.array([columns[name][0] for name in self._number_names], dtype=np.float64),
            np.array([columns[name][0] for name in self._code_names], dtype=np.int32),
        )

    def differing(self, customer: RowArrays) -> tuple[str, ...]:
        """Columns in which a customer is not the reference, in contract order."""
        typical = self._reference
        equal = (customer.numbers == typical.numbers) | (
            np.isnan(customer.numbers) & np.isnan(typical.numbers)
        )
        names = {n for n, same in zip(self._number_names, equal.tolist(), strict=True) if not same}
        same_codes = (customer.codes == typical.codes).tolist()
        names |= {n for n, same in zip(self._code_names, same_codes, strict=True) if not same}
        return tuple(name for name in self._places if name in names)

    def linked(self, players: Sequence[Player]) -> tuple[tuple[int, ...], ...]:
        """Groups of two and more players whose fields meet in a derived feature."""
        groups = set()
        for tied in self._tied_columns:
            group = tuple(i for i, names in enumerate(players) if not tied.isdisjoint(names))
            if len(group) > 1:
                groups.add(group)
        return tuple(sorted(groups))

    def encode(
        self, customer: RowArrays, players: Sequence[Player], coalitions: Coalitions
    ) -> NDArray[np.float32]:
        """Model inputs of coalitions of players, (num_coalitions, num_inputs).

        Args:
            customer: gives the fields of the coalition.
            players: fields per player.
            coalitions: bool (num_coalitions, num_players).
        """
        own = np.zeros((len(coalitions), len(self._places)), dtype=np.bool_)
        for player, names in enumerate(players):
            for name in names:
                own[:, self._places[name]] = coalitions[:, player]
        typical = self._reference
        numbers = np.where(own[:, self._number_places], customer.numbers, typical.numbers)
        codes = np.where(own[:, self._code_places], customer.codes, typical.codes)
        columns: Columns = dict(zip(self._number_names, numbers.T.copy(), strict=True))
        columns.update(zip(self._code_names, codes.T.copy(), strict=True))
        if self._contract.derived:
            columns = add_derived(columns, self._contract)
        return self._encoder.encode(columns)


def _tied_columns(contract: Contract) -> tuple[frozenset[str], ...]:
    """Per derived feature of several columns these columns, through features in between."""
    origins = {name: frozenset([name]) for name in contract.columns}
    for name, op in contract.derived.items():
        origins[name] = frozenset().union(*(origins[part] for part in _parts(op)))
    tied = (origins[name] for name in contract.derived)
    return tuple(dict.fromkeys(columns for columns in tied if len(columns) > 1))


def _parts(op: Derived) -> tuple[str, ...]:
    match op:
        case Ratio():
            return (op.numerator, op.denominator)
        case Threshold() | Bins():
            return (op.column,)
        case Product() | Count() | Cross() | Hashed():
            return op.columns
