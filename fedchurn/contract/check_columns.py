"""Whether each column of a contract agrees with itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from fedchurn.contract.cells import whole
from fedchurn.contract.problems import Problem
from fedchurn.contract.schema import Column, Contract, Range, SampleShape
from fedchurn.errors import nearest

_TEST_OF_KIND = {"integer": "ks", "number": "ks", "category": "chi_squared", "text": "chi_squared"}


def column_problems(contract: Contract) -> Iterator[Problem]:
    """Problems inside single columns: limits, labels, aliases, missing values, sample shape."""
    for name, column in contract.columns.items():
        place = ("columns", name)
        messages = [
            *_name(name),
            *_limits(column),
            *_labels(column),
            *_aliases(column),
            *_missing(column),
            *_misplaced(column),
            *_shape(column),
        ]
        yield from (Problem((*place, key), message) for key, message in messages)


Message = tuple[str, str]


def _name(name: str) -> Iterator[Message]:
    if not name or name != name.strip():
        yield "kind", f"the column name {name!r} is empty or starts or ends with a blank"


def _limits(column: Column) -> Iterator[Message]:
    for key, limits in (("hard", column.hard), ("usual", column.usual)):
        if limits is not None and not _is_range(limits):
            yield key, f"{shown(limits)} is not a range; the first number must be the lower one"
    hard, usual = column.hard, column.usual
    if hard and usual and _is_range(hard) and (usual[0] < hard[0] or usual[1] > hard[1]):
        yield "usual", f"{shown(usual)} reaches outside hard {shown(hard)}"


def _labels(column: Column) -> Iterator[Message]:
    labels = column.categories
    if column.kind == "category" and not labels:
        yield "categories", "a category column needs its labels, such as [low, high]"
    for label, times in Counter(labels or ()).items():
        if times > 1:
            yield "categories", f"the label {label!r} is listed {times} times"
        if label != label.strip() or not label:
            yield "categories", f"the label {label!r} is empty or starts or ends with a blank"
        elif whole(label) != label:
            yield "categories", f"rows never hold {label!r}: whole numbers read as {whole(label)!r}"


def _aliases(column: Column) -> Iterator[Message]:
    for spelling, label in column.aliases.items():
        if column.categories and label not in column.categories:
            yield (
                "aliases",
                f"{spelling!r} stands for {label!r}, which is no category; "
                + nearest(label, column.categories),
            )
        if column.categories and spelling in column.categories:
            yield "aliases", f"{spelling!r} is a category itself, so it cannot be an alias"
        if column.kind == "text" and label in column.aliases:
            yield "aliases", f"{spelling!r} stands for {label!r}, which is an alias itself"


def _missing(column: Column) -> Iterator[Message]:
    if not column.nullable:
        for key in ("null_fraction", "null_fraction_warn", "null_tokens"):
            if getattr(column, key):
                yield key, "only a nullable column has missing values; add `nullable: true`"
    if (column.null_fraction or 0.0) > (1.0 if (w := column.null_fraction_warn) is None else w):
        yield (
            "null_fraction_warn",
            (
                f"{column.null_fraction_warn} is below null_fraction {column.null_fraction}: "
                "the reference itself would raise the warning"
            ),
        )
    for token in column.null_tokens:
        if token in (column.categories or ()) or token in column.aliases:
            yield "null_tokens", f"{token!r} is a category or an alias too"


def _misplaced(column: Column) -> Iterator[Message]:
    """Keys that mean nothing for the column's kind."""
    if column.is_number:
        for key in ("categories", "aliases"):
            if getattr(column, key):
                yield key, f"a column of kind {column.kind} has no {key}; use kind: category"
    else:
        for key in ("hard", "usual", "unit"):
            if getattr(column, key) is not None:
                yield (
                    key,
                    f"a column of kind {column.kind} has no {key}; use kind: integer or number",
                )
    if column.kind == "text" and column.categories:
        yield "categories", "a text column has an open vocabulary; use kind: category"
    if column.decimals is not None and column.kind != "number":
        yield "decimals", f"a column of kind {column.kind} has no decimals; use kind: number"
    if "buckets" in column.model_fields_set and column.kind != "text":
        yield "buckets", f"a column of kind {column.kind} has no buckets; they belong to kind: text"
    if column.drift not in (None, _TEST_OF_KIND[column.kind]):
        right = _TEST_OF_KIND[column.kind]
        yield "drift", f"{column.drift} does not suit kind {column.kind}; use {right}"


def _shape(column: Column) -> Iterator[Message]:
    shape = column.sample
    if shape is None:
        return
    if column.is_number:
        yield from _number_shape(column, shape)
    else:
        yield from _label_shape(column, shape)
    if shape.null_effect and not column.nullable:
        yield "sample", "null_effect needs a nullable column"


def _number_shape(column: Column, shape: SampleShape) -> Iterator[Message]:
    if shape.weights is not None or shape.effects:
        yield "sample", "weights and effects belong to categories; a number has mean and effect"
    hard = column.hard
    if shape.mean is not None and hard and _is_range(hard) and not hard[0] <= shape.mean <= hard[1]:
        yield "sample", f"mean {shape.mean:g} is outside hard {shown(hard)}"
    if shape.distribution in ("lognormal", "poisson", "exponential") and (shape.mean or 1.0) <= 0:
        yield "sample", f"a {shape.distribution} mean must be above 0, not {shape.mean:g}"


def _label_shape(column: Column, shape: SampleShape) -> Iterator[Message]:
    labels = column.categories or ()
    if shape.mean is not None or shape.spread is not None or shape.effect:
        yield "sample", "mean, spread and effect belong to numbers; a category has weights, effects"
    if shape.weights is not None and len(shape.weights) != len(labels):
        yield "sample", f"{len(shape.weights)} weights for {len(labels)} categories"
    elif shape.weights is not None and not _are_shares(shape.weights):
        yield "sample", f"weights must be shares that add up to 1, not {sum(shape.weights):g}"
    for label in shape.effects:
        if label not in labels:
            yield (
                "sample",
                f"effects name {label!r}, which is no category; {nearest(label, labels)}",
            )


def _are_shares(weights: tuple[float, ...]) -> bool:
    return min(weights) >= 0 and math.isclose(sum(weights), 1.0, abs_tol=0.011)


def _is_range(limits: Range) -> bool:
    return math.isfinite(limits[0]) and math.isfinite(limits[1]) and limits[0] < limits[1]


def shown(limits: Range) -> str:
    """A range as the file writes it: ``[0, 61]``."""
    return f"[{limits[0]:.10g}, {limits[1]:.10g}]"
