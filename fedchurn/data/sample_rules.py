"""Repairs of a drawn sample, so that it obeys the cross-column rules of its contract."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.rules import Condition, CrossRule, Implies, NearProduct, NotAbove
from fedchurn.contract.schema import Contract
from fedchurn.data.sample_draft import Draft, Values, fitted, limits, missing, shape_of, without
from fedchurn.errors import ContractError

MAX_PASSES = 12

Mask = NDArray[np.bool_]


class Repair:
    """Repairs one draft; columns in ``keep`` (those a scenario disturbs) are left alone."""

    def __init__(
        self, draft: Draft, contract: Contract, rng: np.random.Generator, keep: frozenset[str]
    ) -> None:
        self.draft = draft
        self.contract = contract
        self.rng = rng
        self.keep = keep
        self.beyond = any(contract.columns[n].is_number for n in keep if n in contract.columns)

    def run(self) -> None:
        """Repair until all error-level rules hold.

        Raises:
            ContractError: the rules contradict each other (never for a disturbed sample, whose
                scenario may break them on purpose).
        """
        for rule in self.contract.rules:
            if isinstance(rule, NearProduct):
                self._follow_product(rule, everywhere=True)
        broken = self.broken_rules()
        for _ in range(MAX_PASSES):
            for rule in self.contract.rules:
                self._mend(rule)
            broken = self.broken_rules()
            if not broken:
                return
        errors = [rule.id for rule in broken if rule.severity == "error"]
        if errors and not self.keep:
            raise ContractError(
                f"no sample row can meet the rules {', '.join(errors)} at once",
                where=f"contract {self.contract.contract}, rules",
                next_step="check that these rules do not contradict each other",
            )

    def broken_rules(self) -> list[CrossRule]:
        return [rule for rule in self.contract.rules if self.broken_rows(rule).any()]

    def broken_rows(self, rule: CrossRule) -> Mask:
        """Rows that break a rule."""
        columns = self.draft.columns
        if isinstance(rule, Implies):
            when, then = self._all(rule.when), self._all(rule.then)
            return (when & ~then) | (then & ~when) if rule.both_ways else when & ~then
        if isinstance(rule, NotAbove):
            return np.asarray(columns[rule.low] > columns[rule.high])
        product = np.prod([columns[c] for c in rule.factors], axis=0)
        far = np.abs(columns[rule.column] - product)
        return np.asarray(far > rule.relative * np.abs(product))

    def _mend(self, rule: CrossRule) -> None:
        if isinstance(rule, NotAbove):
            self._set(rule.low, self.broken_rows(rule), self.draft.columns[rule.high])
        elif isinstance(rule, NearProduct):
            self._follow_product(rule, everywhere=False)
        else:
            when, then = self._all(rule.when), self._all(rule.then)
            for condition in rule.then:
                self._enforce(condition, when & ~self._holds(condition))
                if rule.both_ways:
                    self._refute(condition, then & ~when)

    def _follow_product(self, rule: NearProduct, *, everywhere: bool) -> None:
        product = np.prod([self.draft.columns[c] for c in rule.factors], axis=0)
        noise = self.rng.uniform(-1, 1, len(product)) ** 3  # most rows close, few far
        near = product * (1 + 0.5 * rule.relative * noise)
        rows = np.isfinite(near) & ~self.draft.is_missing(rule.column)
        if not everywhere:
            rows &= self.broken_rows(rule)
        if rule.column not in self.keep:
            self.draft.spare[rule.column] = np.where(
                np.isfinite(near), near, self.draft.spare[rule.column]
            )
        self._set(rule.column, rows, near)

    def _all(self, conditions: Sequence[Condition]) -> Mask:
        return np.logical_and.reduce([self._holds(c) for c in conditions])

    def _holds(self, condition: Condition) -> Mask:
        values = self.draft.columns[condition.column]
        gone = missing(values)
        if condition.is_null is not None:
            return gone == condition.is_null
        if values.dtype.kind != "f":
            return np.isin(values, self._codes(condition))
        with np.errstate(invalid="ignore"):
            return np.asarray(_compare(values, condition) & ~gone)

    def _codes(self, condition: Condition) -> list[int]:
        wanted = condition.is_in or (condition.equals,)
        labels = self.draft.labels[condition.column]
        return [i for i, label in enumerate(labels) if label in wanted]

    def _enforce(self, condition: Condition, rows: Mask) -> None:
        name, step = condition.column, self._step(condition.column)
        if condition.is_null is not None:
            self._fill(name, rows, gone=condition.is_null)
        elif name in self.draft.labels:
            self._pick(name, rows, self._codes(condition))
        elif condition.at_least is not None or condition.at_most is not None:
            self._set(name, rows, _first(condition.at_least, condition.at_most))
        elif condition.above is not None:
            self._set(name, rows, condition.above + step)
        else:
            self._set(name, rows, _first(condition.below) - step)

    def _refute(self, condition: Condition, rows: Mask) -> None:
        name, step = condition.column, self._step(condition.column)
        if condition.is_null is not None:
            self._fill(name, rows, gone=not condition.is_null)
        elif name in self.draft.labels:
            out = set(self._codes(condition))
            self._pick(name, rows, [i for i in range(len(self.draft.labels[name])) if i not in out])
        elif condition.above is not None or condition.below is not None:
            self._set(name, rows, _first(condition.above, condition.below))
        elif condition.at_least is not None:
            self._set(name, rows, condition.at_least - step)
        else:
            self._set(name, rows, _first(condition.at_most) + step)

    def _fill(self, name: str, rows: Mask, *, gone: bool) -> None:
        values = self.draft.spare[name]
        self._put(name, rows, without(values, rows) if gone else values)

    def _pick(self, name: str, rows: Mask, codes: list[int]) -> None:
        """Draw again among some labels, by their weights."""
        weights = np.asarray(shape_of(self.contract.columns[name]).weights or 1.0, dtype=float)
        shares = np.broadcast_to(weights, len(self.draft.labels[name]))[codes]
        if not len(codes):
            return
        shares = shares if shares.sum() > 0 else np.ones(len(codes))
        places = self.rng.random(len(rows))
        drawn = np.searchsorted(np.cumsum(shares) / shares.sum(), places, side="right")
        self._put(name, rows, np.asarray(codes)[np.minimum(drawn, len(codes) - 1)])

    def _set(self, name: str, rows: Mask, values: float | NDArray[np.float64]) -> None:
        column = self.contract.columns[name]
        spread = np.broadcast_to(np.asarray(values, dtype=np.float64), len(rows))
        within = (column.hard if self.beyond else None) or limits(column)
        self._put(name, rows, fitted(spread, column, within))

    def _put(self, name: str, rows: Mask, values: Values) -> None:
        if name not in self.keep and rows.any():
            old = self.draft.columns[name]
            self.draft.columns[name] = np.where(rows, values, old).astype(old.dtype)

    def _step(self, name: str) -> float:
        column = self.contract.columns[name]
        if column.kind == "integer":
            return 1.0
        return float(10.0 ** -(2 if column.decimals is None else column.decimals))


def _compare(values: NDArray[np.float64], condition: Condition) -> Mask:
    holds = np.ones(len(values), dtype=bool)
    for limit, test in (
        (condition.at_least, np.greater_equal),
        (condition.at_most, np.less_equal),
        (condition.above, np.greater),
        (condition.below, np.less),
    ):
        if limit is not None:
            holds &= test(values, limit)
    return holds


def _first(*limits_or_none: float | None) -> float:
    return next(limit for limit in limits_or_none if limit is not None)
