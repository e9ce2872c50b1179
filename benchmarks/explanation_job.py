"""Rows and models of ``benchmarks.explanation``: generated customers, models fitted on them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from fedchurn.contract.columns import add_derived
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.frames import canonical_table, frame_columns
from fedchurn.data.sample import sample_table
from fedchurn.encoding.fit import EncoderSettings, fit_encoder
from fedchurn.encoding.statistics import Statistics, client_statistics
from fedchurn.evaluation.sums import score_sums
from fedchurn.learning.spec import HiddenLayer, ModelSpec, Weights
from fedchurn.loop.drift_reference import drift_reference
from fedchurn.release.scorer import Scorer

BASES = {
    "additive": EncoderSettings(num_knots=12),
    "network": EncoderSettings(basis="linear", scaling="minmax"),
}
FIT_ROWS = 3000
SEED = 7

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """What is explained.

    Attributes:
        contract: what a row is.
        frame: fitted rows, canonical (numbers, labels, missing), contract columns only.
        target: 0 or 1 per fitted row.
        scorer: our model: the additive basis, or 64-32 on scaled inputs (the ``reference`` recipe).
        reference: as a release's ``reference.json``.
        rows: other customers, as canonical values.
    """

    contract: Contract
    frame: pd.DataFrame
    target: NDArray[np.int8]
    scorer: Scorer
    reference: Mapping[str, Any]
    rows: list[Row]


def make_job(name: str, model: str, num_rows: int) -> Job:
    """A model of contract ``name`` and ``num_rows`` customers that it has not seen."""
    contract = load_contract(name)
    raw = sample_table(contract, rows=FIT_ROWS + num_rows, seed=SEED)
    table = canonical_table(raw, contract).frame
    target = (table[contract.target.column] == 1).to_numpy().astype(np.int8)[:FIT_ROWS]
    frame = table[list(contract.columns)]
    fitted = frame.head(FIT_ROWS)
    columns = add_derived(frame_columns(fitted, contract), contract)
    statistics = client_statistics(columns, target, contract)
    settings = (
        {"num_knots": 12} if model == "additive" else {"basis": "linear", "scaling": "minmax"}
    )
    encoder = fit_encoder(statistics, contract, EncoderSettings.model_validate(settings))
    inputs = encoder.encode(columns)
    spec, weights = (_additive if model == "additive" else _network)(inputs, target)
    scorer = Scorer(contract, encoder, spec, weights)
    rest = frame.iloc[FIT_ROWS:]
    rows = rest.astype(object).where(rest.notna(), None).to_dict("records")
    return Job(contract, fitted, target, scorer, _reference(statistics, contract), rows)


def _additive(inputs: NDArray[np.float32], target: NDArray[np.int8]) -> tuple[ModelSpec, Weights]:
    fitted = LogisticRegression(solver="newton-cholesky").fit(inputs, target)
    kernel, bias = fitted.coef_.T.astype(np.float32), fitted.intercept_.astype(np.float32)
    return ModelSpec(inputs.shape[1]), (kernel, bias)


def _network(inputs: NDArray[np.float32], target: NDArray[np.int8]) -> tuple[ModelSpec, Weights]:
    model = MLPClassifier((64, 32), max_iter=30, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # thirty epochs are what is wanted
        fitted = model.fit(inputs, target)
    layers = zip(fitted.coefs_, fitted.intercepts_, strict=True)
    weights = tuple(array.astype(np.float32) for layer in layers for array in layer)
    spec = ModelSpec(inputs.shape[1], linear=False, hidden=(HiddenLayer(64), HiddenLayer(32)))
    return spec, weights


def _reference(statistics: Statistics, contract: Contract) -> dict[str, Any]:
    no_scores = score_sums(np.array([0, 1]), np.array([0.5, 0.5]))
    return drift_reference({"all": statistics}, {"all": no_scores}, contract)
