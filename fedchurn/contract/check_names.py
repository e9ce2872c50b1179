"""Whether everything that a contract names exists and is of the right kind."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fedchurn.contract.cells import whole
from fedchurn.contract.check_columns import shown
from fedchurn.contract.columns import features
from fedchurn.contract.derived import (
    NUMBER_OPS,
    Bins,
    Count,
    Cross,
    Derived,
    Hashed,
    Product,
    Ratio,
    Threshold,
)
from fedchurn.contract.problems import Path, Problem
from fedchurn.contract.rules import Condition, Implies, NearProduct, NotAbove
from fedchurn.contract.schema import Contract
from fedchurn.errors import nearest

_LARGEST_CROSS = 4096
_TESTS = ("equals", "is_in", "at_least", "at_most", "above", "below", "is_null")


class NameChecker:
    """Looks names up in a contract; names in ``left_out`` are known to be in trouble already."""

    def __init__(self, contract: Contract, left_out: frozenset[str]) -> None:
        self.contract = contract
        self.left_out = left_out
        self.kinds = {name: column.kind for name, column in contract.columns.items()}

    def problem(self, name: str, *kinds: str) -> str | None:
        """What is wrong with using ``name`` where a column of ``kinds`` is wanted."""
        if name in self.left_out:
            return None
        if name not in self.kinds:
            return f"unknown column {name!r}; {nearest(name, [*self.kinds, *self.left_out])}"
        if kinds and self.kinds[name] not in kinds:
            return f"{name!r} is of kind {self.kinds[name]}; needed: {' or '.join(kinds)}"
        return None

    def unknown_label(self, name: str, label: str) -> str | None:
        """What is wrong with ``label`` as a label of category ``name``."""
        column = self.contract.columns.get(name)
        if column is None or not column.categories or label in column.categories:
            return None
        if label in column.aliases:
            return f"{label!r} is an alias; write its label {column.aliases[label]!r}"
        return f"{label!r} is no category of {name!r}; {nearest(label, column.categories)}"


NUMBERS = ("integer", "number")
CODED = ("category", "text")


def role_problems(contract: Contract, names: NameChecker) -> Iterator[Problem]:
    """Target, id, silo column, value column and driver recommendations."""
    target = contract.target
    if target.positive == target.negative:
        yield Problem(("target", "negative"), f"positive and negative are both {target.positive!r}")
    for key, label in (("positive", target.positive), ("negative", target.negative)):
        if whole(label.strip()) != label:
            message = f"rows never hold {label!r}: it reads as {whole(label.strip())!r}"
            yield Problem(("target", key), message)
    if target.column in contract.columns or target.column in contract.derived:
        yield Problem(
            ("target", "column"), f"{target.column!r} is a feature too; take it out there"
        )
    if target.rate_warn and not 0 <= target.rate_warn[0] < target.rate_warn[1] <= 1:
        message = f"{shown(target.rate_warn)} is not a range of shares between 0 and 1"
        yield Problem(("target", "rate_warn"), message)
    if contract.id is not None:
        yield from _id_problems(contract)
    for key, kinds in (("silo_column", CODED), ("value_column", NUMBERS)):
        used: str | None = getattr(contract, key)
        if used is not None and (unfit := names.problem(used, *kinds)):
            yield Problem((key,), unfit)
    known = [*contract.columns, *contract.derived, *names.left_out]
    for name in contract.driver_recommendations:
        if name not in known:
            message = f"unknown feature {name!r}; {nearest(name, known)}"
            yield Problem(("driver_recommendations", name), message)


def _id_problems(contract: Contract) -> Iterator[Problem]:
    if contract.id is None:
        return
    if contract.id.column in contract.columns:
        yield Problem(
            ("id", "column"), f"{contract.id.column!r} is a feature too; take it out there"
        )
    if contract.id.column == contract.target.column:
        yield Problem(("id", "column"), f"{contract.id.column!r} is the target")
    try:
        re.compile(contract.id.pattern or "")
    except re.error as error:
        message = f"{contract.id.pattern!r} is not a regular expression: {error}"
        yield Problem(("id", "pattern"), message)


def derived_problems(contract: Contract, names: NameChecker) -> Iterator[Problem]:
    """Derived features: parts exist, stand above, and are of the kind that the operation needs."""
    known = NameChecker(contract, names.left_out)
    for name, op in contract.derived.items():
        place = ("derived", name)
        if name in contract.columns:
            yield Problem(place, f"{name!r} is a column already; choose another name")
        broken = False
        for part, kinds in _parts(op):
            message = known.problem(part, *kinds)
            if message and part in contract.derived and part not in known.kinds:
                message = f"{part!r} is derived further down; move it above"
            if message:
                broken = True
                yield Problem(place, message)
        if not broken:
            yield from (Problem(place, m) for m in _operation_problems(op, contract, known, name))
        known.kinds.setdefault(name, "number" if op.op in NUMBER_OPS else "category")


def _parts(op: Derived) -> list[tuple[str, tuple[str, ...]]]:
    match op:
        case Ratio():
            return [(op.numerator, NUMBERS), (op.denominator, NUMBERS)]
        case Product():
            return [(name, NUMBERS) for name in op.columns]
        case Threshold() | Bins():
            return [(op.column, NUMBERS)]
        case Count() | Cross():
            return [(name, ("category",)) for name in op.columns]
        case Hashed():
            return [(name, CODED) for name in op.columns]


def _operation_problems(
    op: Derived, contract: Contract, names: NameChecker, name: str
) -> Iterator[str]:
    match op:
        case Bins():
            if list(op.edges) != sorted(set(op.edges)):
                yield f"edges {list(op.edges)} must increase"
            if len(op.labels) != len(op.edges) + 1:
                yield f"{len(op.edges)} edges make {len(op.edges) + 1} bins, not {len(op.labels)}"
            if len(set(op.labels)) != len(op.labels):
                yield f"labels {list(op.labels)} must differ"
        case Count():
            yield from _count_problems(op, contract, names)
        case Cross() if not names.left_out and name not in contract.columns:
            size = _num_labels(contract, name)
            if size > _LARGEST_CROSS:
                yield f"{size} combinations are more than {_LARGEST_CROSS}; use op: hash"


def _count_problems(op: Count, contract: Contract, names: NameChecker) -> Iterator[str]:
    columns = [contract.columns[c] for c in op.columns if c in contract.columns]
    labels = {label for column in columns for label in column.categories or ()}
    if len(columns) < len(op.columns) or names.left_out.intersection(op.columns):
        return
    for label in op.labels:
        if label not in labels:
            yield f"{label!r} is a category of none of the columns; {nearest(label, labels)}"


def _num_labels(contract: Contract, name: str) -> int:
    shape = {f.name: f for f in features(contract)} if _few(contract, name) else {}
    return len(shape[name].labels or ()) if shape else _LARGEST_CROSS + 1


def _few(contract: Contract, name: str) -> bool:
    op = contract.derived[name]
    return isinstance(op, Cross) and all(c in contract.columns for c in op.columns)


def rule_problems(contract: Contract, names: NameChecker) -> Iterator[Problem]:
    """Cross rules and fallback rules."""
    seen: set[str] = set()
    for rule in contract.rules:
        place: Path = ("rules", rule.id)
        if rule.id in seen:
            yield Problem(place, f"two rules have the id {rule.id!r}")
        seen.add(rule.id)
        match rule:
            case Implies():
                yield from _conditions((*place, "when"), rule.when, names)
                yield from _conditions((*place, "then"), rule.then, names)
            case NotAbove():
                yield from _number_names(place, (rule.low, rule.high), names)
            case NearProduct():
                yield from _number_names(place, (rule.column, *rule.factors), names)
    for fallback_rule in contract.fallback.rules if contract.fallback else ():
        place = ("fallback", "rules", fallback_rule.reason, "when")
        if not fallback_rule.when:
            yield Problem(place, "needs at least one condition")
        yield from _conditions(place, fallback_rule.when, names)


def _number_names(place: Path, used: tuple[str, ...], names: NameChecker) -> Iterator[Problem]:
    for name in used:
        if message := names.problem(name, *NUMBERS):
            yield Problem(place, message)


def _conditions(
    place: Path, conditions: tuple[Condition, ...], names: NameChecker
) -> Iterator[Problem]:
    for condition in conditions:
        yield from (Problem(place, message) for message in _condition(condition, names))


def _condition(condition: Condition, names: NameChecker) -> Iterator[str]:
    given = [test for test in _TESTS if getattr(condition, test) is not None]
    if len(given) != 1:
        told = ", ".join(given) or "none"
        yield (
            f"the condition on {condition.column!r} needs exactly one test, got {told}; one of "
            + (", ".join(_TESTS))
        )
        return
    if given[0] == "is_null":
        yield from _null_condition(condition, names)
        return
    kinds = ("category",) if given[0] in ("equals", "is_in") else NUMBERS
    if message := names.problem(condition.column, *kinds):
        yield message if "unknown" in message else f"{given[0]} cannot be used: {message}"
        return
    for label in condition.is_in or ((condition.equals,) if condition.equals is not None else ()):
        if message := names.unknown_label(condition.column, label):
            yield message


def _null_condition(condition: Condition, names: NameChecker) -> Iterator[str]:
    column = names.contract.columns.get(condition.column)
    if message := names.problem(condition.column):
        yield message
    elif column is not None and not column.nullable:
        yield f"is_null asks about {condition.column!r}, which is not nullable"
