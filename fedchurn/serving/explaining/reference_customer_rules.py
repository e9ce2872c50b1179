"""Typical values column by column can make an impossible customer; this mends one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from fedchurn.contract.conditions import Value, rule_holds
from fedchurn.contract.rules import Condition, CrossRule, Implies, NearProduct, NotAbove
from fedchurn.contract.schema import Contract

Values = dict[str, Value]


def rule_columns(rule: CrossRule) -> tuple[str, ...]:
    """Columns that a rule ties together, each once; those that should give way come first."""
    match rule:
        case Implies():
            names = [c.column for c in (*rule.then, *rule.when)]
        case NotAbove():
            names = [rule.low, rule.high]
        case NearProduct():
            names = [rule.column, *rule.factors]
    return tuple(dict.fromkeys(names))


def obeying(values: Values, contract: Contract, others: Mapping[str, tuple[Value, ...]]) -> Values:
    """``values``, changed one column at a time for as long as that mends a rule.

    Args:
        values: canonical values by column.
        contract: its rules of either severity.
        others: values that a column may take instead, best first.
    """
    num_broken = _num_broken(values, contract)
    while num_broken:
        changes = list(_changes(values, contract, others))
        fewest = min((_num_broken(c, contract) for c in changes), default=num_broken)
        if fewest >= num_broken:
            break
        values = next(c for c in changes if _num_broken(c, contract) == fewest)
        num_broken = fewest
    return values


def _num_broken(values: Values, contract: Contract) -> int:
    return sum(not rule_holds(rule, values) for rule in contract.rules)


def _changes(
    values: Values, contract: Contract, others: Mapping[str, tuple[Value, ...]]
) -> Iterator[Values]:
    for rule in contract.rules:
        if rule_holds(rule, values):
            continue
        for name in rule_columns(rule):
            if name in contract.columns:
                for value in (*_asked_for(rule, name, values), *others[name]):
                    if _allowed(value, contract, name):
                        yield {**values, name: value}


def _asked_for(rule: CrossRule, name: str, values: Values) -> Iterator[Value]:
    """Values of a number column that the rule itself suggests."""
    match rule:
        case Implies():
            for condition in (*rule.then, *rule.when):
                if condition.column == name:
                    yield from _bounds(condition)
        case NotAbove():
            yield values[rule.high if name == rule.low else rule.low]
        case NearProduct():
            factors = [values[factor] for factor in rule.factors]
            if name == rule.column and all(isinstance(f, int | float) for f in factors):
                yield math.prod(float(f) for f in factors if f is not None)


def _bounds(condition: Condition) -> Iterator[Value]:
    for bound in (condition.at_least, condition.at_most):
        if bound is not None:
            yield bound
    if condition.above is not None:
        yield math.floor(condition.above) + 1.0
    if condition.below is not None:
        yield math.ceil(condition.below) - 1.0


def _allowed(value: Value, contract: Contract, name: str) -> bool:
    column = contract.columns[name]
    if value is None:
        return column.nullable
    if not column.is_number:
        return value in (column.categories or ())
    number = float(value)
    low, high = column.hard or (-math.inf, math.inf)
    return low <= number <= high and (column.kind != "integer" or number.is_integer())
