"""Conditions and cross rules on a single row, for fallback rules and warnings of the service."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fedchurn.contract.rules import Condition, CrossRule, Implies, NearProduct, NotAbove

Value = float | str | None
Values = Mapping[str, Value]


def condition_holds(condition: Condition, values: Values) -> bool:
    """Whether ``condition`` holds on a canonical row; a missing value meets only ``is_null``."""
    value = values.get(condition.column)
    if condition.is_null is not None:
        return (value is None) == condition.is_null
    if value is None:
        return False
    if condition.equals is not None:
        return value == condition.equals
    if condition.is_in is not None:
        return value in condition.is_in
    return not isinstance(value, str) and _number_holds(condition, value)


def _number_holds(condition: Condition, value: float) -> bool:
    if condition.at_least is not None:
        return value >= condition.at_least
    if condition.at_most is not None:
        return value <= condition.at_most
    if condition.above is not None:
        return value > condition.above
    return condition.below is not None and value < condition.below


def rule_holds(rule: CrossRule, values: Values) -> bool:
    """Whether a canonical row obeys a cross rule; missing numbers pass."""
    match rule:
        case Implies():
            when = all(condition_holds(c, values) for c in rule.when)
            then = all(condition_holds(c, values) for c in rule.then)
            return (not when or then) and (not rule.both_ways or not then or when)
        case NotAbove():
            low, high = _numbers(values, rule.low, rule.high)
            return not low > high
        case NearProduct():
            value, *factors = _numbers(values, rule.column, *rule.factors)
            product = math.prod(factors)
            return not abs(value - product) > rule.relative * abs(product)


def _numbers(values: Values, *names: str) -> list[float]:
    """Numbers by name; NaN, with which no comparison holds, for a missing one."""
    found = [values.get(name) for name in names]
    return [v if isinstance(v, int | float) else math.nan for v in found]
