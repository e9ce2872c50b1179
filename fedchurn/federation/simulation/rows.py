"""Encoded rows of simulated clients, read when they are needed and held within a limit of bytes."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.data.client_table import ClientTable
from fedchurn.encoding.encoder import Encoder
from fedchurn.federation.client.session import SPLITS
from fedchurn.learning.keras_cohort import CohortRows

MAX_BYTES = 256 * 2**20
READ_AT_ONCE = 256  # clients whose raw rows are held while they are encoded


@dataclass(frozen=True)
class EncodedClient:
    """All rows of one client: inputs float32 (n, d), target and split (n,)."""

    inputs: NDArray[np.float32]
    target: NDArray[np.int8]
    split: NDArray[np.int8]

    def part(self, split: str) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Inputs and target of one split; see ``SPLITS``."""
        rows = np.isin(self.split, SPLITS[split])
        return self.inputs[rows], self.target[rows]

    @property
    def num_bytes(self) -> int:
        return self.inputs.nbytes + self.target.nbytes + self.split.nbytes


class UnreadableRows(Exception):
    """Rows of some clients cannot be read; the others' can.

    Attributes:
        reasons: why, by client.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{client}: {why}" for client, why in reasons.items()))
        self.reasons = reasons


class SimulatedRows:
    """See the module docstring.

    Args:
        load: reads the rows of a client.
        max_bytes: encoded rows that are held at most; clients used longest ago go first. The rows
            of one question are joined whatever their size, so memory follows the cohort.
    """

    def __init__(self, load: Callable[[str], ClientTable], max_bytes: int = MAX_BYTES) -> None:
        self._load = load
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[str, str], EncodedClient] = OrderedDict()
        self._held_bytes = 0
        self._joined: dict[str, tuple[str, CohortRows]] = {}
        self.num_loaded = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of encoded rows held for later questions."""
        return self._held_bytes

    def joined(self, encoder_json: str, split: str, clients: Sequence[str]) -> CohortRows:
        """Rows of one split of the clients, in their order.

        What was joined last for a split is kept: rounds of all clients ask the same again.

        Raises:
            UnreadableRows: names clients whose rows cannot be read.
        """
        kept = self._joined.get(split)
        if kept is not None and kept[0] == encoder_json and kept[1].clients == tuple(clients):
            return kept[1]
        self._joined.pop(split, None)
        parts = [one.part(split) for one in self._encoded(encoder_json, clients)]
        starts = np.cumsum([0, *(len(target) for _, target in parts)]).astype(np.intp)
        rows = CohortRows(
            tuple(clients),
            np.concatenate([inputs for inputs, _ in parts]),
            np.concatenate([target for _, target in parts]),
            starts,
        )
        self._joined[split] = (encoder_json, rows)
        return rows

    def _encoded(self, encoder_json: str, clients: Sequence[str]) -> Iterator[EncodedClient]:
        for first in range(0, len(clients), READ_AT_ONCE):
            some = clients[first : first + READ_AT_ONCE]
            keys = [(encoder_json, client) for client in some]
            held = {key: self._held[key] for key in keys if key in self._held}
            fresh = self._read(
                encoder_json, [c for key, c in zip(keys, some, strict=True) if key not in held]
            )
            for key in keys:
                yield held[key] if key in held else fresh[key]
                self._hold(key, held.get(key) or fresh[key])

    def _read(
        self, encoder_json: str, clients: Sequence[str]
    ) -> dict[tuple[str, str], EncodedClient]:
        if not clients:
            return {}
        tables = self._loaded(clients)
        columns: Columns = {
            name: np.concatenate([table.columns[name] for table in tables])
            for name in tables[0].columns
        }
        inputs = Encoder.from_dict(json.loads(encoder_json)).encode(columns)
        ends = np.cumsum([table.num_rows for table in tables])
        return {
            (encoder_json, client): EncodedClient(own.copy(), table.target, table.split)
            for client, table, own in zip(clients, tables, np.split(inputs, ends[:-1]), strict=True)
        }

    def _loaded(self, clients: Sequence[str]) -> list[ClientTable]:
        tables, reasons = [], {}
        for client in clients:
            try:
                tables.append(self._load(client))
            except Exception as error:  # whatever is wrong with its file
                reasons[client] = f"{type(error).__name__}: {error}"
        if reasons:
            raise UnreadableRows(reasons)
        self.num_loaded += len(tables)
        return tables

    def _hold(self, key: tuple[str, str], client: EncodedClient) -> None:
        if key not in self._held:
            self._held[key] = client
            self._held_bytes += client.num_bytes
        self._held.move_to_end(key)
        while self._held_bytes > self._max_bytes and self._held:
            _, gone = self._held.popitem(last=False)
            self._held_bytes -= gone.num_bytes
