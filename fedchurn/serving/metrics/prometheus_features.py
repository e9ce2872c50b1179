"""What customers are sent: a histogram per number and a counter per label, named by the contract.

    feature_<column>                    histogram of a number, in its unit
    feature_<column>_total{<column>=}   counter per label of a category; ``other`` is any other text
    fedchurn_feature_missing_total{feature=}

Text columns have an open vocabulary, so only their missing values are counted.
"""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from prometheus_client import Counter, Histogram

from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Column, Contract
from fedchurn.serving.metrics.prometheus_buckets import number_bounds
from fedchurn.serving.metrics.prometheus_bulk import observe_many
from fedchurn.serving.metrics.prometheus_families import Families, show_all

OTHER = "other"
_SUFFIXES = ("", "_bucket", "_sum", "_count", "_created", "_total")
_KEPT_CONTRACTS = 8


class _Feature(Protocol):
    def add(self, values: Sequence[Value]) -> int:
        """Count the values of one column; returns how many are missing."""


class _Number:
    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def add(self, values: Sequence[Value]) -> int:
        numbers = np.array(values, dtype=np.float64)  # None becomes NaN
        finite = numbers[np.isfinite(numbers)]
        observe_many([self._histogram], finite)
        return len(numbers) - len(finite)


class _Category:
    def __init__(self, family: Counter, labels: Sequence[str]) -> None:
        self._children = {label: family.labels(label) for label in (*labels, OTHER)}

    def add(self, values: Sequence[Value]) -> int:
        tally = Tally(values)
        missing = tally.pop(None, 0)
        for label, count in tally.items():
            self._children.get(str(label), self._children[OTHER]).inc(count)
        return missing


class _Text:
    def add(self, values: Sequence[Value]) -> int:
        return sum(value is None for value in values)


class FeatureSeries:
    """Feature metrics of the contract that a worker started with.

    A release that is loaded later may have other columns: those of a known name and kind are
    counted on, others only after a restart.
    """

    def __init__(self, contract: Contract, families: Families) -> None:
        names = feature_names(contract)
        self._features: dict[str, _Feature] = {
            column: _feature(kind, names[column], column, families)
            for column, kind in contract.columns.items()
        }
        missing = families.counter(
            "fedchurn_feature_missing_total", "Missing values, by contract column", "feature"
        )
        show_all(missing, ([column] for column in self._features))
        self._missing = {column: missing.labels(column) for column in self._features}
        self._layouts: dict[int, tuple[Contract, list[tuple[int, str]]]] = {}

    def add(self, rows: Sequence[tuple[Value, ...]], contract: Contract) -> None:
        """Count n rows of canonical values, in the order of ``contract``'s columns."""
        columns = tuple(zip(*rows, strict=True))
        for place, name in self._layout(contract):
            missing = self._features[name].add(columns[place])
            if missing:
                self._missing[name].inc(missing)

    def _layout(self, contract: Contract) -> list[tuple[int, str]]:
        """Known columns with their places; kept by identity, as hashing a contract is slow."""
        known = self._layouts.get(id(contract))
        if known is not None:
            return known[1]
        if len(self._layouts) >= _KEPT_CONTRACTS:
            self._layouts.clear()
        layout = [
            (place, name)
            for place, (name, column) in enumerate(contract.columns.items())
            if type(self._features.get(name)) is _family(column)
        ]
        self._layouts[id(contract)] = (contract, layout)
        return layout


def feature_names(contract: Contract) -> dict[str, str]:
    """Name of the metric of each column: ``feature_`` and the column in snake case, all distinct.

    >>> _snake("PreferredLoginDevice"), _snake("Avg. GB/month")
    ('preferred_login_device', 'avg_gb_month')
    """
    taken: set[str] = set()
    names: dict[str, str] = {}
    for column in contract.columns:
        first = f"feature_{_snake(column)}"
        tries = (first, *(f"{first}_{number}" for number in range(2, len(contract.columns) + 8)))
        name = next(t for t in tries if not taken & {t + suffix for suffix in _SUFFIXES})
        taken |= {name + suffix for suffix in _SUFFIXES}
        names[column] = name
    return names


def label_name(column: str) -> str:
    """Name of the label that holds a category's label; valid whatever the column is called."""
    snake = _snake(column)
    return snake if snake[0].isalpha() else f"label_{snake.lstrip('_')}"


def _snake(text: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_") or "column"


def _family(column: Column) -> type[_Feature]:
    if column.is_number:
        return _Number
    return _Text if column.kind == "text" else _Category


def _feature(column: Column, name: str, title: str, families: Families) -> _Feature:
    if column.is_number:
        unit = f" ({column.unit})" if column.unit else ""
        meaning = f"Values of {title}{unit} in answered rows"
        return _Number(families.histogram(name, meaning, number_bounds(column)))
    if column.kind == "text":
        return _Text()
    meaning = f"Answered rows by {title}"
    family = families.counter(f"{name}_total", meaning, label_name(title))
    return _Category(family, column.categories or ())
