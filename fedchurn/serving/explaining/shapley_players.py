"""Who plays: the fields in which a customer differs from the reference, singly or tied.

A customer without internet has "no internet service" in six more fields. Taken one by one, fields
of the two customers would mix into rows that the contract's rules forbid, and one fact would count
seven times. Fields whose mixtures break an error-level rule that both customers obey are therefore
replaced together.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from fedchurn.contract.conditions import Value, rule_holds
from fedchurn.contract.rules import CrossRule
from fedchurn.contract.schema import Contract
from fedchurn.serving.explaining.reference_customer_rules import rule_columns

_MAX_MIXED = 6  # fields of one rule whose 2^6 mixtures are tried; more are tied at once

Values = Mapping[str, Value]
Player = tuple[str, ...]


def find_players(
    values: Values, reference: Values, differing: Sequence[str], contract: Contract
) -> tuple[Player, ...]:
    """Fields that are replaced together, the leading one first.

    It is the field that most rules of its group name, in contract order among equals.

    Args:
        values: canonical values of the customer.
        reference: those of the typical customer.
        differing: columns in which they differ, in contract order.
        contract: gives the rules.
    """
    ties = list(_ties(values, reference, differing, contract)) if contract.rules else []
    groups = {name: frozenset([name]) for name in differing}
    for tie in ties:
        joined = frozenset().union(*(groups[name] for name in tie))
        groups.update(dict.fromkeys(joined, joined))
    num_ties = Counter(name for tie in ties for name in tie)
    distinct = dict.fromkeys(groups[name] for name in differing)
    return tuple(
        tuple(sorted(group, key=lambda name: (-num_ties[name], differing.index(name))))
        for group in distinct
    )


def _ties(
    values: Values, reference: Values, differing: Sequence[str], contract: Contract
) -> Iterator[Player]:
    for rule in contract.rules:
        names = [name for name in rule_columns(rule) if name in differing]
        if rule.severity != "error" or len(names) < 2:
            continue
        if not (rule_holds(rule, values) and rule_holds(rule, reference)):
            continue
        if len(names) > _MAX_MIXED or _some_mixture_breaks(rule, values, reference, names):
            yield tuple(names)


def _some_mixture_breaks(
    rule: CrossRule, values: Values, reference: Values, names: Sequence[str]
) -> bool:
    rest = {name: values[name] for name in rule_columns(rule) if name in values}
    for size in range(1, len(names)):
        for replaced in itertools.combinations(names, size):
            mixed = {**rest, **{name: reference[name] for name in replaced}}
            if not rule_holds(rule, mixed):
                return True
    return False
