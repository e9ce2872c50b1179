"""What a client's rows must satisfy, read off the contract and from nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fedchurn.contract.rules import CrossRule, Severity
from fedchurn.contract.schema import Column, Contract

Rule = Literal[
    "column_present",
    "no_extra_columns",
    "row_count",
    "id_present",
    "id_unique",
    "id_pattern",
    "target_labels",
    "both_classes",
    "positives",
    "churn_rate",
    "type",
    "readable",
    "whole_numbers",
    "hard_range",
    "usual_range",
    "categories",
    "not_null",
    "null_share",
    "some_values",
    "cross_rule",
    "duplicates",
    "near_copies",
    "customers",
]
ROWS: frozenset[Rule] = frozenset(
    {
        "id_present",
        "id_unique",
        "id_pattern",
        "target_labels",
        "readable",
        "whole_numbers",
        "hard_range",
        "usual_range",
        "categories",
        "not_null",
        "cross_rule",
    }
)
NEED_COPIES: frozenset[Rule] = frozenset({"near_copies", "customers"})
CUSTOMERS_PER_CLASS = 3  # one each for train, validation and test


@dataclass(frozen=True)
class Check:
    """One thing to verify.

    Attributes:
        rule: kind of check.
        column: the column it is about, "" for the whole table.
        severity: ``error`` stops the flow, ``warning`` is reported.
        low, high: inclusive limits; None is open.
        labels: accepted categories, or columns.
        tolerated_fraction: share of rows (0-1) that may break the rule.
        pattern: regular expression of the id.
        cross_rule: the rule over several columns.
    """

    rule: Rule
    column: str
    severity: Severity
    low: float | None = None
    high: float | None = None
    labels: tuple[str, ...] = ()
    tolerated_fraction: float = 0.0
    pattern: str | None = None
    cross_rule: CrossRule | None = None

    @property
    def is_row_level(self) -> bool:
        """Whether it is rows that break the rule, so that they can be set aside."""
        return self.rule in ROWS

    @property
    def name(self) -> str:
        """The rule as reports show it: the contract's own id for a cross-column rule."""
        return self.cross_rule.id if self.cross_rule else self.rule

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns without which the check cannot run."""
        if self.rule == "column_present":
            return ()
        if self.cross_rule:
            return rule_columns(self.cross_rule)
        return (self.column,) if self.column else ()


def contract_checks(contract: Contract) -> tuple[Check, ...]:
    """All checks of a contract: table, id, target, columns, cross-column rules, copies."""
    checks = [*_table_checks(contract), *_id_checks(contract), *_target_checks(contract)]
    for name, column in contract.columns.items():
        checks.extend(_column_checks(name, column, contract))
    checks.extend(_cross_checks(contract))
    checks.extend(_copy_checks(contract))
    return tuple(checks)


def wanted_columns(contract: Contract) -> tuple[str, ...]:
    """Columns that a client's source must hold, id and target first."""
    key = (contract.id.column,) if contract.id else ()
    return (*key, contract.target.column, *contract.columns)


def rule_columns(rule: CrossRule) -> tuple[str, ...]:
    """Columns that a cross-column rule reads, each once, in order."""
    match rule.op:
        case "implies":
            names = [condition.column for condition in (*rule.when, *rule.then)]
        case "not_above":
            names = [rule.low, rule.high]
        case "near_product":
            names = [rule.column, *rule.factors]
    return tuple(dict.fromkeys(names))


def _table_checks(contract: Contract) -> Iterator[Check]:
    names = wanted_columns(contract)
    for name in names:
        yield Check("column_present", name, "error", labels=names)
    refuse = contract.dataset.extra_columns == "reject"
    yield Check("no_extra_columns", "", "error" if refuse else "warning", labels=names)
    yield Check("row_count", "", "error", low=contract.dataset.min_rows)


def _id_checks(contract: Contract) -> Iterator[Check]:
    if contract.id is None:
        return
    yield Check("id_present", contract.id.column, "error")
    if contract.id.unique:
        yield Check("id_unique", contract.id.column, "error")
    if contract.id.pattern:
        yield Check("id_pattern", contract.id.column, "error", pattern=contract.id.pattern)


def _target_checks(contract: Contract) -> Iterator[Check]:
    target = contract.target
    labels = (target.positive, target.negative)
    yield Check("target_labels", target.column, "error", labels=labels)
    yield Check("both_classes", target.column, "error", low=2, high=2, labels=labels)
    yield Check("positives", target.column, "error", low=contract.dataset.min_positives)
    if target.rate_warn:
        low, high = target.rate_warn
        yield Check("churn_rate", target.column, "warning", low=low, high=high)


def _column_checks(name: str, column: Column, contract: Contract) -> Iterator[Check]:
    if column.is_number:
        yield from _number_checks(name, column)
    elif column.kind == "category":
        reject = contract.dataset.unknown_category == "reject"
        severity: Severity = "error" if reject else "warning"
        yield Check("categories", name, severity, labels=column.categories or ())
    yield Check("some_values", name, "warning" if column.nullable else "error", low=0)
    if not column.nullable:
        yield Check("not_null", name, "error")
    elif column.null_fraction_warn is not None:
        share = column.null_fraction_warn
        yield Check("null_share", name, "warning", tolerated_fraction=share)


def _number_checks(name: str, column: Column) -> Iterator[Check]:
    yield Check("type", name, "error", labels=("float64",))
    yield Check("readable", name, "error")
    if column.kind == "integer":
        yield Check("whole_numbers", name, "error")
    if column.hard:
        yield Check("hard_range", name, "error", low=column.hard[0], high=column.hard[1])
    if column.usual:
        yield Check("usual_range", name, "warning", low=column.usual[0], high=column.usual[1])


def _cross_checks(contract: Contract) -> Iterator[Check]:
    for rule in contract.rules:
        column = ", ".join(rule_columns(rule))
        yield Check("cross_rule", column, rule.severity, cross_rule=rule)


def _copy_checks(contract: Contract) -> Iterator[Check]:
    share = contract.dataset.max_duplicate_fraction_warn
    yield Check("duplicates", "", "warning", tolerated_fraction=share)
    yield Check("near_copies", "", "warning", tolerated_fraction=share)
    yield Check("customers", contract.target.column, "error", low=CUSTOMERS_PER_CLASS)
