"""Cross-column rules of a contract, declared rather than programmed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Scalar = str | float
Severity = Literal["error", "warning"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _texts(value: object) -> object:
    """``equals: No`` and ``is_in: [1, 2]`` compare labels, which are text."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, list | tuple):
        return tuple(str(v) for v in value)
    return str(value) if isinstance(value, int | float) else value


class Condition(_Record):
    """A test of one column; exactly one of the tests is given.

    ``equals`` and ``is_in`` are for categories, ``at_least``, ``at_most``, ``above`` and ``below``
    for numbers, ``is_null`` for both. A missing value meets no test but ``is_null: true``.
    """

    column: str
    equals: Annotated[str | None, BeforeValidator(_texts)] = None
    is_in: Annotated[tuple[str, ...] | None, BeforeValidator(_texts)] = None
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    is_null: bool | None = None


class Implies(_Record):
    """If all of ``when`` hold, all of ``then`` must; ``both_ways`` adds the converse."""

    op: Literal["implies"] = "implies"
    id: str
    when: tuple[Condition, ...] = Field(min_length=1)
    then: tuple[Condition, ...] = Field(min_length=1)
    both_ways: bool = False
    severity: Severity = "error"
    description: str = ""


class NotAbove(_Record):
    """``low`` must not exceed ``high`` (both numbers); rows with a missing value pass."""

    op: Literal["not_above"] = "not_above"
    id: str
    low: str
    high: str
    severity: Severity = "error"
    description: str = ""


class NearProduct(_Record):
    """``|column - product| <= relative * product`` of the ``factors``; missing values pass."""

    op: Literal["near_product"] = "near_product"
    id: str
    column: str
    factors: tuple[str, ...] = Field(min_length=2)
    relative: float = Field(gt=0)
    severity: Severity = "warning"
    description: str = ""


CrossRule = Annotated[Implies | NotAbove | NearProduct, Field(discriminator="op")]
