"""The rows that both sides of ``benchmarks.encoder`` encode, and our encoder of them.

Generated e-commerce rows, once as a frame of labels and once as a frame of codes (numbers float64,
missing = NaN; categories as position in the contract's labels). Both sides are fitted on the first
``FIT_ROWS`` rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fedchurn.contract.columns import Columns
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.frames import canonical_table, frame_columns
from fedchurn.data.sample import sample_table
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.encoding.fit import EncoderSettings, fit_encoder
from fedchurn.encoding.statistics import client_statistics

SEED = 7
FIT_ROWS = 50_000
BASES = ("linear", "piecewise")


@dataclass(frozen=True)
class Job:
    """What a side needs.

    Attributes:
        contract: e-commerce; it has no derived features, so frames hold all features.
        encoder: ours; the peer takes names, labels and knots from it.
        rows: n rows, categories as text or as int32 codes.
        has_labels: whether they are text.
        fitted: codes of the rows that both sides are fitted on.
    """

    contract: Contract
    encoder: Encoder
    rows: pd.DataFrame
    has_labels: bool
    fitted: pd.DataFrame

    @property
    def numbers(self) -> list[NumberEncoding]:
        return [e for e in self.encoder.encodings if isinstance(e, NumberEncoding)]

    @property
    def categories(self) -> list[CategoryEncoding]:
        return [e for e in self.encoder.encodings if isinstance(e, CategoryEncoding)]


def write_rows(folder: Path, num_rows: int) -> None:
    """Generate the rows into ``labels.parquet``, ``codes.parquet`` and ``fitted.parquet``."""
    contract = load_contract("ecommerce")
    table = canonical_table(sample_table(contract, rows=num_rows, seed=SEED), contract)
    frame = table.frame[list(contract.columns)]
    codes = pd.DataFrame(frame_columns(frame, contract))
    frame.to_parquet(folder / "labels.parquet")
    codes.to_parquet(folder / "codes.parquet")
    codes.head(FIT_ROWS).to_parquet(folder / "fitted.parquet")


def read_job(folder: Path, basis: str, *, has_labels: bool) -> Job:
    """The rows behind ``write_rows`` and an encoder with ``basis`` fitted on the first of them."""
    contract = load_contract("ecommerce")
    fitted = pd.read_parquet(folder / "fitted.parquet")
    target = np.zeros(len(fitted), np.int8)  # statistics count it, encoders do not use it
    statistics = client_statistics(columns_of(fitted), target, contract)
    encoder = fit_encoder(statistics, contract, EncoderSettings.model_validate({"basis": basis}))
    rows = pd.read_parquet(folder / ("labels.parquet" if has_labels else "codes.parquet"))
    return Job(contract, encoder, _canonical(rows) if has_labels else rows, has_labels, fitted)


def columns_of(codes: pd.DataFrame) -> Columns:
    """The frame of codes as canonical columns, without copying."""
    return {str(name): values.to_numpy() for name, values in codes.items()}


def _canonical(labels: pd.DataFrame) -> pd.DataFrame:
    """Labels are Python strings in a canonical frame, not pandas' own text type."""
    return labels.astype({n: object for n in labels if labels[n].dtype != np.float64})
