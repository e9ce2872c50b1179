"""The sides of ``benchmarks.explanation``: each gives a call per row, and what it claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.explanation_job import Job, Row
from fedchurn.contract.schema import Contract
from fedchurn.serving.explaining.explanation import Explainer
from fedchurn.serving.predictor import Predictor

Shares = dict[str, float]


@dataclass(frozen=True)
class Side:
    """One way to explain.

    Attributes:
        explain: contributions of a row's fields.
        difference: answer for the row less answer for the row that it is compared with.
    """

    explain: Callable[[Row], Shares]
    difference: Callable[[Row], float]


def fedchurn_side(job: Job) -> Side:
    """Shapley values."""
    model = Predictor(job.scorer)
    explainer = Explainer(model, job.reference)
    base = explainer.explain(job.rows[0]).base_probability

    def shares(row: Row) -> Shares:
        return {c.field: c.contribution for c in explainer.explain(row).contributions}

    return Side(shares, lambda row: model.one(row) - base)


def same_model_side(job: Job) -> Side:
    """Leave-one-out on our model and our reference, one call of the model per differing field."""
    model = Predictor(job.scorer)
    explainer = Explainer(model, job.reference)
    typical = explainer.typical_customer
    base = explainer.explain(job.rows[0]).base_probability

    def shares(row: Row) -> Shares:
        full = model.one(row)
        differing = [n for n, value in typical.items() if value != row[n]]
        return {n: full - model.one({**row, n: typical[n]}) for n in differing}

    return Side(shares, lambda row: model.one(row) - base)


def pipeline_side(job: Job) -> Side:
    """Leave-one-out as reference system 4 has it: a pandas row through sklearn per field.

    Numbers, and categories coded by integers, are replaced by the training mean; other categories
    by the commonest label. The model is a logistic regression.
    """
    pipeline = _pipeline(job.contract).fit(job.frame, job.target)
    means = {name: _mean(job.frame[name], name, job.contract) for name in job.contract.columns}

    numbers = dict.fromkeys(job.contract.number_columns, float)

    def probability(row: Row) -> float:
        frame = pd.DataFrame([row], columns=list(row)).astype(numbers)
        return float(pipeline.predict_proba(frame)[0, 1])

    def shares(row: Row) -> Shares:
        full = probability(row)
        return {name: full - probability({**row, name: mean}) for name, mean in means.items()}

    return Side(shares, lambda row: probability(row) - probability(means))


SIDES = {
    "fedchurn": fedchurn_side,
    "leave-one-out, same model": same_model_side,
    "leave-one-out, sklearn pipeline": pipeline_side,
}


def _pipeline(contract: Contract) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    labels = OneHotEncoder(handle_unknown="ignore")
    parts = [
        ("numbers", numbers, list(contract.number_columns)),
        ("labels", labels, list(contract.coded_columns)),
    ]
    return make_pipeline(ColumnTransformer(parts), LogisticRegression(max_iter=1000))


def _mean(values: pd.Series[Any], name: str, contract: Contract) -> object:
    column = contract.columns[name]
    if column.is_number:
        return float(values.mean())
    if column.integer_categories:
        return str(values.astype(float).mean())  # what "0.5" as a gender looks like to one-hot
    return values.mode()[0]
