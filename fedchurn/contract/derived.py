"""Derived features: declared operations over columns, never evaluated text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _texts(value: object) -> object:
    return tuple(str(v) for v in value) if isinstance(value, list | tuple) else value


class Ratio(_Record):
    """``scale * numerator / (max(denominator, floor) + plus)``, rounded to ``decimals``."""

    op: Literal["ratio"]
    numerator: str
    denominator: str
    floor: float | None = None
    plus: float = 0.0
    scale: float = 1.0
    decimals: int | None = None


class Product(_Record):
    """Product of number columns, rounded to ``decimals`` if given."""

    op: Literal["product"]
    columns: tuple[str, ...] = Field(min_length=2)
    decimals: int | None = None


class Threshold(_Record):
    """Category ``no``/``yes``: whether a number is at least ``at_least``."""

    op: Literal["threshold"]
    column: str
    at_least: float


class Bins(_Record):
    """Category from a number: ``edges`` are the inner edges, each bin closed on the right.

    With edges (12, 24) and labels (new, mid, old): 12 is new, 13 is mid, 25 is old. Nothing falls
    outside, so tenure 0 has a bin (reference defect D1/D3: ``cut`` made it NaN).
    """

    op: Literal["bins"]
    column: str
    edges: tuple[float, ...] = Field(min_length=1)
    labels: Annotated[tuple[str, ...], BeforeValidator(_texts)]


class Count(_Record):
    """How many of the category ``columns`` hold one of ``labels``."""

    op: Literal["count"]
    columns: tuple[str, ...] = Field(min_length=1)
    labels: Annotated[tuple[str, ...], BeforeValidator(_texts)] = Field(min_length=1)


class Cross(_Record):
    """Category from the combination of category columns: one label per pair, triple, ..."""

    op: Literal["cross"]
    columns: tuple[str, ...] = Field(min_length=2, max_length=3)


class Hashed(_Record):
    """Category from the combination of category or text columns, in ``buckets`` hash buckets."""

    op: Literal["hash"]
    columns: tuple[str, ...] = Field(min_length=1)
    buckets: int = Field(ge=2, le=4096)


Derived = Annotated[
    Ratio | Product | Threshold | Bins | Count | Cross | Hashed, Field(discriminator="op")
]

NUMBER_OPS = ("ratio", "product", "count")
