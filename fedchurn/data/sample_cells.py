"""Values of a generated sample as the text that a source would hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Column, Contract
from fedchurn.data.sample_draft import Draft, Values, stream


def number_cells(values: NDArray[np.float64], column: Column) -> NDArray[np.object_]:
    """Numbers with the decimals of their column."""
    distinct, places = np.unique(values, return_inverse=True)
    decimals = 0 if column.kind == "integer" else 2 if column.decimals is None else column.decimals
    texts = [_blank(column) if v != v else f"{v:.{decimals}f}" for v in distinct.tolist()]
    return np.asarray(texts, dtype=object)[places]


def _blank(column: Column) -> str:
    """How the source writes a missing value: its first null token, or an empty cell."""
    return column.null_tokens[0] if column.null_tokens else ""


def label_cells(
    codes: Values, name: str, draft: Draft, contract: Contract, seed: int
) -> NDArray[np.object_]:
    """Labels, some of them in another spelling where the contract knows one."""
    column = contract.columns[name]
    labels = draft.labels[name]
    cells = np.asarray([*labels, _blank(column)], dtype=object)[codes]
    rng = stream(seed, name, "aliases")
    respelled = rng.random(len(cells)) < contract.sample.alias_fraction
    which = rng.random(len(cells))
    for code, label in enumerate(labels):
        spellings = [alias for alias, meant in column.aliases.items() if meant == label]
        if spellings:
            rows = respelled & (codes == code)
            chosen = (which[rows] * len(spellings)).astype(int)
            cells[rows] = np.asarray(spellings, dtype=object)[chosen]
    return cells
