"""Whether risk bands, fallback, dataset rules and drift scenarios make sense."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fedchurn.contract.check_columns import shown
from fedchurn.contract.check_names import NUMBERS, NameChecker
from fedchurn.contract.problems import Path, Problem
from fedchurn.contract.schema import Contract, Scenario


def answer_problems(contract: Contract) -> Iterator[Problem]:
    """Risk bands, fallback and dataset rules."""
    yield from _band_problems(contract)
    fallback = contract.fallback
    if fallback is not None and fallback.base_rate > fallback.max_probability:
        message = f"base_rate {fallback.base_rate:g} is above max_probability"
        yield Problem(("fallback", "base_rate"), f"{message} {fallback.max_probability:g}")
    if contract.dataset.min_positives > contract.dataset.min_rows:
        message = f"{contract.dataset.min_positives} is above min_rows {contract.dataset.min_rows}"
        yield Problem(("dataset", "min_positives"), message)


def _band_problems(contract: Contract) -> Iterator[Problem]:
    bands = contract.risk_bands
    if not bands:
        yield Problem(("risk_bands",), "at least one band is needed")
        return
    names = [band.name for band in bands]
    if len(set(names)) != len(names):
        yield Problem(("risk_bands",), f"band names must differ: {', '.join(names)}")
    if bands[-1].below is not None:
        message = "the last band takes all higher probabilities; take its `below` out"
        yield Problem(("risk_bands", bands[-1].name), message)
    limit = 0.0
    for band in bands[:-1]:
        if band.below is None:
            yield Problem(("risk_bands", band.name), "only the last band is without `below`")
        elif band.below <= limit:
            message = f"{band.below:g} is not above {limit:g}: limits must increase band by band"
            yield Problem(("risk_bands", band.name, "below"), message)
        limit = band.below if band.below is not None else limit


def scenario_problems(contract: Contract, names: NameChecker) -> Iterator[Problem]:
    """Named drift scenarios of the sample."""
    for name, scenario in contract.sample.scenarios.items():
        place: Path = ("sample", "scenarios", name)
        for key, column, message in _scenario(scenario, contract, names):
            yield Problem((*place, key, column), message)


def _scenario(
    scenario: Scenario, contract: Contract, names: NameChecker
) -> Iterator[tuple[str, str, str]]:
    for column, limits in scenario.ranges.items():
        if message := names.problem(column, *NUMBERS) or _range_message(column, limits, contract):
            yield "ranges", column, message
    for column, factor in scenario.scale.items():
        if message := names.problem(column, *NUMBERS):
            yield "scale", column, message
        elif not (math.isfinite(factor) and factor > 0):
            yield "scale", column, f"the factor must be above 0, not {factor:g}"
        elif column in scenario.ranges:
            yield "scale", column, f"{column!r} is in `ranges` too; choose one"
    for column, weights in scenario.weights.items():
        if message := names.problem(column, "category"):
            yield "weights", column, message
        else:
            yield from _weight_messages(column, weights, names)
    for column, fraction in scenario.null_fraction.items():
        if message := names.problem(column) or _null_message(column, fraction, contract):
            yield "null_fraction", column, message


def _range_message(column: str, limits: tuple[float, float], contract: Contract) -> str | None:
    if not limits[0] <= limits[1]:
        return f"{shown(limits)} is not a range; the first number must be the lower one"
    known = contract.columns.get(column)
    hard = known.hard if known else None
    if hard and (limits[0] < hard[0] or limits[1] > hard[1]):
        return f"{shown(limits)} reaches outside hard {shown(hard)}"
    return None


def _weight_messages(
    column: str, weights: dict[str, float], names: NameChecker
) -> Iterator[tuple[str, str, str]]:
    for label in weights:
        if message := names.unknown_label(column, label):
            yield "weights", column, message
    if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
        yield "weights", column, "weights must not be negative, and one must be above 0"


def _null_message(column: str, fraction: float, contract: Contract) -> str | None:
    if not 0 <= fraction <= 1:
        return f"{fraction:g} is not a share between 0 and 1"
    known = contract.columns.get(column)
    if known is not None and not known.nullable:
        return f"{column!r} is not nullable"
    return None
