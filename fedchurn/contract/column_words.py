"""Parts of a contract in words, for ``explain``, the guide and reports."""

from __future__ import annotations

from fedchurn.contract.derived import (
    Bins,
    Count,
    Cross,
    Derived,
    Hashed,
    Product,
    Ratio,
    Threshold,
)
from fedchurn.contract.rules import Condition, CrossRule, Implies, NearProduct, NotAbove
from fedchurn.contract.schema import Column, Range

_SIGNS = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}


def kind_words(column: Column) -> str:
    """``integer, months``."""
    return f"{column.kind}, {column.unit}" if column.unit else column.kind


def limit_words(column: Column) -> str:
    """What a column accepts, in the words of the contract: its labels or its hard limits."""
    if column.kind == "text":
        return f"any text ({column.buckets} buckets)"
    if column.is_number:
        return range_words(column.hard) or "any number"
    spellings: dict[str, list[str]] = {}
    for spelling, label in column.aliases.items():
        spellings.setdefault(label, []).append(spelling)
    return ", ".join(
        f"{label} (also: {', '.join(spellings[label])})" if label in spellings else label
        for label in column.categories or ()
    )


def range_words(limits: Range | None) -> str:
    """``0 to 61``; empty without limits."""
    return f"{limits[0]:.10g} to {limits[1]:.10g}" if limits else ""


def missing_words(column: Column) -> str:
    """``4.7%, warns at 10%``; ``no`` if a value is required."""
    if not column.nullable:
        return "no"
    words = "yes" if column.null_fraction is None else f"{100 * column.null_fraction:.3g}%"
    if column.null_fraction_warn is None:
        return words
    return f"{words}, warns at {100 * column.null_fraction_warn:.3g}%"


def condition_words(condition: Condition) -> str:
    """``Tenure <= 1``."""
    name = condition.column
    if condition.is_null is not None:
        return f"{name} is {'missing' if condition.is_null else 'known'}"
    if condition.equals is not None:
        return f"{name} = {condition.equals}"
    if condition.is_in is not None:
        return f"{name} is one of {', '.join(condition.is_in)}"
    test = next(test for test in _SIGNS if getattr(condition, test) is not None)
    return f"{name} {_SIGNS[test]} {getattr(condition, test):.10g}"


def rule_words(rule: CrossRule) -> str:
    """``if tenure <= 0 then TotalCharges is missing, and the other way round``."""
    match rule:
        case Implies():
            when = " and ".join(condition_words(c) for c in rule.when)
            then = " and ".join(condition_words(c) for c in rule.then)
            back = ", and the other way round" if rule.both_ways else ""
            return f"if {when} then {then}{back}"
        case NotAbove():
            return f"{rule.low} is not above {rule.high}"
        case NearProduct():
            product = " x ".join(rule.factors)
            return f"{rule.column} is within {100 * rule.relative:.3g}% of {product}"


def derived_words(op: Derived) -> str:
    """``12 x num_tickets / max(tenure_months, 1), 4 decimals``."""
    match op:
        case Ratio():
            return _ratio_words(op) + _decimal_words(op.decimals)
        case Product():
            return " x ".join(op.columns) + _decimal_words(op.decimals)
        case Threshold():
            return f"yes if {op.column} >= {op.at_least:.10g}, else no"
        case Bins():
            edges = ", ".join(f"{edge:.10g}" for edge in op.edges)
            return f"bins of {op.column} up to {edges}: {', '.join(op.labels)}"
        case Count():
            return f"how many of {', '.join(op.columns)} are {' or '.join(op.labels)}"
        case Cross():
            return f"combination of {' and '.join(op.columns)}"
        case Hashed():
            return f"{' and '.join(op.columns)} in {op.buckets} hash buckets"


def _ratio_words(op: Ratio) -> str:
    below = op.denominator if op.floor is None else f"max({op.denominator}, {op.floor:.10g})"
    if op.plus:
        below = f"({below} + {op.plus:.10g})"
    scale = f"{op.scale:.10g} x " if op.scale != 1 else ""
    return f"{scale}{op.numerator} / {below}"


def _decimal_words(decimals: int | None) -> str:
    return "" if decimals is None else f", {decimals} decimals"
