"""The one error shape: what is wrong with what was sent, or why there is no answer.

    {"errors": [{"field", "value", "limit", "message", "rule", "nearest"}]}

Every answer that is not a success has it, and ``warnings`` of good answers are of the same kind.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from fedchurn.errors import nearest_match

_MAX_ECHOED = 200  # characters of a value or name that are sent back
_MAX_MESSAGE = 1000  # characters


class Finding(Struct, kw_only=True):
    """One problem or warning; what makes no sense is null."""

    field: Annotated[str | None, Meta(description="field as the caller called it")] = None
    value: Annotated[Any, Meta(description="what was sent, shortened")] = None
    limit: Annotated[str | None, Meta(description="what would be accepted")] = None
    message: str
    rule: Annotated[str, Meta(description="short word for the kind, for programs")]
    nearest: Annotated[str | None, Meta(description="what was probably meant")] = None
    index: Annotated[int, Meta(ge=0, description="row of the batch, from 0")] | UnsetType = UNSET


class Errors(Struct):
    """Why there is no answer; at least one entry."""

    errors: list[Finding]


class Refused(Exception):
    """A request that is not granted.

    Attributes:
        status: HTTP status.
        findings: at least one reason.
        headers: of the answer.
    """

    def __init__(
        self, status: int, findings: Sequence[Finding], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, findings[0].rule)
        self.status = status
        self.findings = list(findings)
        self.headers = headers or {}


class _Found(Protocol):
    """``RowProblem`` or ``RowWarning``."""

    @property
    def field(self) -> str: ...
    @property
    def value(self) -> object: ...
    @property
    def limit(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def rule(self) -> str: ...


def finding(found: _Found, known: Iterable[str] = (), index: int | UnsetType = UNSET) -> Finding:
    """One entry of ``errors`` or ``warnings``.

    Args:
        found: what was found about a row.
        known: fields of the contract, for the nearest match of a mistyped one.
        index: row of a batch.
    """
    return Finding(
        field=shortened(found.field),
        value=echo(found.value),
        limit=found.limit or None,
        message=shortened(found.message, _MAX_MESSAGE),
        rule=found.rule,
        nearest=_nearest(found, known),
        index=index,
    )


def refused(
    status: int,
    rule: str,
    message: str,
    *,
    field: str | None = None,
    value: object = None,
    limit: str | None = None,
    nearest: str | None = None,
) -> Refused:
    """A refusal for one reason."""
    one = Finding(
        field=None if field is None else shortened(field),
        value=echo(value),
        limit=limit,
        message=shortened(message, _MAX_MESSAGE),
        rule=rule,
        nearest=nearest,
    )
    return Refused(status, [one])


def echo(value: object) -> object:
    """``value`` as far as it is sent back: short text, numbers, and a glimpse of the rest."""
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, int) and value.bit_length() > 63:
        return shortened(reprlib.repr(value))
    return value if value is None or isinstance(value, bool | int | float) else reprlib.repr(value)


def shortened(text: str, most: int = _MAX_ECHOED) -> str:
    """``text``, cut after ``most`` characters."""
    return text if len(text) <= most else text[:most] + "..."


def _nearest(found: _Found, known: Iterable[str]) -> str | None:
    if found.rule == "unknown_field":
        return nearest_match(found.field[:_MAX_ECHOED], known)
    if found.rule == "unknown_category" and isinstance(found.value, str):
        return nearest_match(found.value[:_MAX_ECHOED], found.limit.split(", "))
    return None
