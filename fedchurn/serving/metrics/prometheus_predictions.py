"""Metrics of answered and refused rows, from the records that the recorder hands over."""

from __future__ import annotations

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, product
from typing import Protocol

import numpy as np
from prometheus_client import Counter

from fedchurn.contract.schema import Contract
from fedchurn.serving.metrics.prometheus_buckets import LATENCY_SECONDS, PROBABILITIES
from fedchurn.serving.metrics.prometheus_bulk import (
    add_to_histogram,
    bucket_counts,
    observe_many,
    upper_bounds,
)
from fedchurn.serving.metrics.prometheus_families import Families, show_all
from fedchurn.serving.metrics.prometheus_features import OTHER, FeatureSeries
from fedchurn.serving.metrics.prometheus_reference_names import ReferenceNames
from fedchurn.serving.records import (
    BASE_RATE,
    CHALLENGER,
    CHAMPION,
    FALLBACK_MODEL,
    FALLBACK_REASONS,
    MODELS_USED,
    RULES,
    PredictionRecord,
)

ARMS = (CHAMPION, CHALLENGER)
FALLBACKS = (FALLBACK_MODEL, RULES, BASE_RATE)
WARNING_RULES = ("usual_range", "unknown_category", "cross_rule")
REFUSAL_RULES = (
    "missing",
    "unknown_field",
    "not_a_number",
    "not_whole",
    "hard_limit",
    "not_a_label",
    "unreadable_body",
    "not_an_object",
    "not_a_list",
    "not_a_flag",
    "repeated_field",
    "ragged_row",
    "too_many",
    "too_large",
    "unavailable",
)


class Finding(Protocol):
    """What a refused row's problem is about."""

    @property
    def field(self) -> str: ...
    @property
    def rule(self) -> str: ...


class Bounded:
    """A counter whose label values are known beforehand; any other value counts as ``other``."""

    def __init__(self, family: Counter, known: Sequence[Iterable[str]]) -> None:
        self._family = family
        self._known = [frozenset(values) for values in known]

    def inc(self, values: Sequence[str], count: float) -> None:
        """Add ``count`` to the child of ``values``, one per label."""
        pairs = zip(values, self._known, strict=True)
        self._family.labels(*(v if v in known else OTHER for v, known in pairs)).inc(count)


class PredictionSeries:
    """Counts records in bulk; each series is increased once per flush."""

    def __init__(self, contract: Contract, families: Families, names: ReferenceNames) -> None:
        self._names = names
        self._features = FeatureSeries(contract, families)
        self._make_answers(contract, families)
        self._make_findings(contract, families)

    def add(self, records: Sequence[PredictionRecord]) -> None:
        """Count n records; about a microsecond each."""
        by_release: dict[int, list[PredictionRecord]] = defaultdict(list)
        for record in records:
            by_release[id(record.served)].append(record)
        for group in by_release.values():
            self._add_release(group)

    def refused(self, problems: Iterable[Finding]) -> None:
        """Count why rows were refused; fields that the contract lacks are ``other``."""
        for key, count in Tally((p.field, p.rule) for p in problems).items():
            self._refusals.inc(key, count)

    def _add_release(self, records: Sequence[PredictionRecord]) -> None:
        served = records[0].served
        self._count_answers(records)
        probabilities = np.array([r.probability for r in records])
        arm = served.role if served.role in ARMS else OTHER
        observe_many([self._probability.labels(arm)], probabilities)
        latencies = np.array([r.latency_seconds for r in records])
        counts = bucket_counts(self._latency_bounds, latencies).tolist()
        seconds = float(latencies.sum())
        add_to_histogram(self._latency, counts, seconds)
        churns = sum([r.prediction for r in records])
        by_prediction = (len(records) - churns, churns)
        self._names.predictions(by_prediction, counts, seconds, float(probabilities.sum()))
        for key, count in Tally(chain.from_iterable([r.warnings for r in records])).items():
            self._warnings.inc(key, count)
        self._features.add([r.values for r in records], served.contract)

    def _count_answers(self, records: Sequence[PredictionRecord]) -> None:
        arm = records[0].served.role
        keys = [(r.model_used, r.prediction, r.risk_level, r.fallback_reason) for r in records]
        for (model_used, prediction, risk_level, reason), count in Tally(keys).items():
            self._predictions.inc((arm, model_used, str(prediction), risk_level), count)
            if reason is not None:
                self._fallbacks.inc((model_used, reason), count)

    def _make_answers(self, contract: Contract, families: Families) -> None:
        total = families.counter(
            "fedchurn_predictions_total",
            "Answered rows by arm of the experiment, model that answered, prediction (1 is churn) "
            "and risk level",
            "arm",
            "model_used",
            "prediction",
            "risk_level",
        )
        bands = [band.name for band in contract.risk_bands]
        self._predictions = Bounded(total, (ARMS, MODELS_USED, ("0", "1"), bands))
        show_all(total, product([CHAMPION], [CHAMPION, *FALLBACKS], ("0", "1"), bands))
        show_all(total, product([CHALLENGER], [CHALLENGER], ("0", "1"), bands))
        fallbacks = families.counter(
            "fedchurn_fallbacks_total",
            "Answered rows that the model could not answer, by who did and why",
            "model_used",
            "reason",
        )
        self._fallbacks = Bounded(fallbacks, (MODELS_USED, FALLBACK_REASONS))
        show_all(fallbacks, product(FALLBACKS, FALLBACK_REASONS))
        self._latency = families.histogram(
            "fedchurn_prediction_latency_seconds",
            "From the request to the answer of a row",
            LATENCY_SECONDS,
        )
        self._latency_bounds = upper_bounds(self._latency)
        self._probability = families.histogram(
            "fedchurn_churn_probability",
            "Churn probabilities answered, by arm of the experiment",
            PROBABILITIES,
            "arm",
        )
        for arm in ARMS:
            self._probability.labels(arm)

    def _make_findings(self, contract: Contract, families: Families) -> None:
        warnings = families.counter(
            "fedchurn_row_warnings_total",
            "What was odd about answered rows, by field (or cross rule) and rule",
            "field",
            "rule",
        )
        usual = [(n, "usual_range") for n, c in contract.columns.items() if c.usual is not None]
        labels = [
            (n, "unknown_category") for n, c in contract.columns.items() if c.kind == "category"
        ]
        crossed = [(rule.id, "cross_rule") for rule in contract.rules]
        show_all(warnings, [*usual, *labels, *crossed])
        about = [*contract.columns, *(rule.id for rule in contract.rules)]
        self._warnings = Bounded(warnings, (about, WARNING_RULES))
        refusals = families.counter(
            "fedchurn_row_problems_total",
            "Why rows were refused, by field and rule; fields outside the contract are `other`",
            "field",
            "rule",
        )
        numbers = product(contract.number_columns, ("missing", "not_a_number", "hard_limit"))
        others = product(contract.coded_columns, ("missing", "not_a_label"))
        show_all(
            refusals, [*numbers, *others, (OTHER, "unknown_field"), (OTHER, "unreadable_body")]
        )
        self._refusals = Bounded(refusals, (contract.columns, REFUSAL_RULES))
