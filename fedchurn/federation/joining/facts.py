"""What a client tells when it joins a training, and what later requests hold it to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fedchurn.contract.load import contract_digest
from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import TEST, TRAIN, VALIDATION, ClientTable, split_digest
from fedchurn.errors import FederationError
from fedchurn.federation.exchange import Reply, Request

PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
FACTS = "facts"  # array of a join reply: JSON as bytes, for replies carry no text
MOST_ROWS = 2**53  # whole numbers up to there are exact in float64
STAMP = "joined"  # array of any request: what the client was when it joined


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Record):
    """Rows of one split: how many, and their sha256."""

    num_rows: int = Field(ge=0, le=MOST_ROWS)
    digest: str = Field(pattern="^[0-9a-f]{64}$")


class ClientValidation(_Record):
    """What a client's own validation found; counts and words, no rows.

    Attributes:
        source: where the rows came from, in words.
        sha256: of the source.
        is_sample: whether the rows are generated.
        rows_in: rows read = used + quarantined + dropped duplicates.
        warnings: failed warning-level checks, in words.
        split: settings by which the rows were split (seed, fractions).
    """

    source: str = Field(max_length=1000)
    sha256: str = Field(max_length=64)
    is_sample: bool
    rows_in: int = Field(ge=0, le=MOST_ROWS)
    rows_used: int = Field(ge=0, le=MOST_ROWS)
    rows_quarantined: int = Field(ge=0, le=MOST_ROWS)
    rows_dropped_duplicates: int = Field(ge=0, le=MOST_ROWS)
    warnings: tuple[str, ...] = ()
    split: dict[str, float] = Field(default_factory=dict)


class JoinFacts(_Record):
    """What a client tells when it joins.

    Attributes:
        client: its name.
        fedchurn_version: of its code.
        contract: its contract as canonical plain JSON.
        validation: of its rows.
        parts: by split.
        num_churned: rows with churn; None where either class has fewer than k rows.
        data_digest, split_digest: sha256 of its rows, and of rows and split.
    """

    client: str = Field(min_length=1, max_length=200)
    fedchurn_version: str = Field(max_length=100)
    contract: dict[str, Any]
    validation: ClientValidation
    parts: dict[str, Part]
    num_churned: int | None = Field(default=None, ge=0, le=MOST_ROWS)
    data_digest: str = Field(pattern="^[0-9a-f]{64}$")
    split_digest: str = Field(pattern="^[0-9a-f]{64}$")

    @cached_property
    def contract_digest(self) -> str:
        """sha256 of the contract that was told, by the rule of ``contract_digest``."""
        text = json.dumps(self.contract, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    @property
    def stamp(self) -> str:
        """sha256 of contract, rows and split: what later requests hold the client to."""
        return _stamp(self.contract_digest, self.split_digest)

    def inconsistency(self) -> str:
        """Why these facts cannot be true together; empty when they can."""
        v, rows = self.validation, sum(part.num_rows for part in self.parts.values())
        if set(self.parts) != set(PARTS):
            return f"splits {', '.join(sorted(self.parts)) or 'none'}, not {', '.join(PARTS)}"
        if v.rows_used + v.rows_quarantined + v.rows_dropped_duplicates != v.rows_in:
            return f"{v.rows_in} rows in are not the sum of used, quarantined and dropped ones"
        if rows != v.rows_used:
            return f"{v.rows_used} rows used, but {rows} in splits"
        return (
            f"{self.num_churned} churned of {rows} rows" if (self.num_churned or 0) > rows else ""
        )


def _stamp(digest_of_contract: str, digest_of_split: str) -> str:
    return hashlib.sha256(f"{digest_of_contract} {digest_of_split}".encode()).hexdigest()


def without_sums(reply: Reply) -> Reply:
    """The answer to ``join`` without churners, and of warnings the column and the rule only.

    The words of a warning hold figures of the rows: ``churn rate 0.31 is outside ...``.
    """
    if FACTS not in reply.arrays:
        return reply
    facts = json.loads(np.asarray(reply.arrays[FACTS], dtype=np.uint8).tobytes())
    told = [str(warning).partition(":")[0] for warning in facts["validation"]["warnings"]]
    validation = {**facts["validation"], "warnings": told}
    content = json.dumps({**facts, "validation": validation, "num_churned": None}).encode()
    return replace(reply, arrays={**reply.arrays, FACTS: np.frombuffer(content, dtype=np.uint8)})


class Membership:
    """A client's side of joining: its facts, and whether a request still means this client.

    Args:
        table: its rows, split.
        contract: which they obey.
        validation: of the rows; without it the table is taken as it is, and its split is unknown.
    """

    def __init__(
        self, table: ClientTable, contract: Contract, validation: ClientValidation | None = None
    ) -> None:
        self._table = table
        self._contract = contract
        self._validation = validation or _unvalidated(table)

    def reply(self, min_cell_rows: int) -> Reply:
        """The answer to ``join``.

        Args:
            min_cell_rows: k; the number of churners is told only if either class has so many rows.
        """
        content = self.facts(min_cell_rows).model_dump_json().encode()
        arrays = {FACTS: np.frombuffer(content, dtype=np.uint8)}
        return Reply(self._table.client, arrays, {"num_rows": self._table.num_rows})

    def facts(self, min_cell_rows: int) -> JoinFacts:
        """What may be known of this client; see ``reply``."""
        table = self._table
        churned = int(np.sum(table.target == 1))
        is_told = min(churned, table.num_rows - churned) >= min_cell_rows
        return JoinFacts(
            client=table.client,
            fedchurn_version=own_version(),
            contract=self._contract.model_dump(mode="json"),
            validation=self._validation,
            parts=parts_of(table),
            num_churned=churned if is_told else None,
            data_digest=table.digest(),
            split_digest=self._split_digest,
        )

    def admit(self, request: Request) -> Request:
        """The request without its stamp.

        Raises:
            FederationError: it was meant for other rows or another contract of this client.
        """
        if STAMP not in request.arrays:
            return request
        meant = np.asarray(request.arrays[STAMP], dtype=np.uint8).tobytes()
        if meant != self._own_stamp:
            raise FederationError(
                "rows, split or contract are not those that joined this training",
                where=f"client {self._table.client}",
                next_step="it takes part again in the next training",
            )
        others = {name: array for name, array in request.arrays.items() if name != STAMP}
        return replace(request, arrays=others)

    @cached_property
    def _split_digest(self) -> str:
        return split_digest(self._table)

    @cached_property
    def _own_stamp(self) -> bytes:
        return bytes.fromhex(_stamp(contract_digest(self._contract), self._split_digest))


def parts_of(table: ClientTable) -> dict[str, Part]:
    """Size and digest of every split."""
    found = {name: table.part(part) for name, part in PARTS.items()}
    return {n: Part(num_rows=rows.num_rows, digest=rows.digest()) for n, rows in found.items()}


def own_version() -> str:
    """Version of this code, "" where it is not installed."""
    try:
        return version("fedchurn")
    except PackageNotFoundError:
        return ""


def _unvalidated(table: ClientTable) -> ClientValidation:
    return ClientValidation(
        source="not told",
        sha256="",
        is_sample=False,
        rows_in=table.num_rows,
        rows_used=table.num_rows,
        rows_quarantined=0,
        rows_dropped_duplicates=0,
    )
