"""Answers without a model: the contract's fallback rules, and the base rate after them."""

from __future__ import annotations

from collections.abc import Mapping

from fedchurn.contract.conditions import Value, condition_holds
from fedchurn.contract.schema import Contract, FallbackRule

UNKNOWN_RATE = 0.5  # a contract that states no rate at all: nothing is known about a customer


def base_rate(contract: Contract) -> float:
    """Churn rate (0-1) by the contract: of its fallback, else of its target, else one half."""
    if contract.fallback is not None:
        return contract.fallback.base_rate
    return UNKNOWN_RATE if contract.target.rate is None else contract.target.rate


def rules_that_hold(contract: Contract, values: Mapping[str, Value]) -> tuple[FallbackRule, ...]:
    """The contract's fallback rules that hold on canonical ``values``, in its order."""
    rules = contract.fallback.rules if contract.fallback is not None else ()
    return tuple(r for r in rules if all(condition_holds(c, values) for c in r.when))


def rule_probability(contract: Contract, values: Mapping[str, Value]) -> float | None:
    """Base rate plus what the rules that hold add, from 0 to the contract's ``max_probability``.

    None if the contract has no rules.
    """
    fallback = contract.fallback
    if fallback is None or not fallback.rules:
        return None
    added = sum(rule.add for rule in rules_that_hold(contract, values))
    return min(max(fallback.base_rate + added, 0.0), fallback.max_probability)
