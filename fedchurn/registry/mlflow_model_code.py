"""The registered model, as code that MLflow runs when it loads a version ("models from code").

MLflow copies this file into the model, beside the release folder and the part of Fedchurn that
reads it, so a version scores canonical rows anywhere, without pickles and without TensorFlow.
Nothing imports this file; running it is what it is for, hence the work at its end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from fedchurn.release.canonical import values_to_columns
from fedchurn.release.load import check_golden, load_release


class ReleaseModel(mlflow.pyfunc.PythonModel):
    """Canonical rows to churn probability and decision."""

    def load_context(self, context: Any) -> None:
        """Read and verify the release, and recompute its golden rows."""
        self.release = load_release(Path(context.artifacts["release"]))
        check_golden(self.release)

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """``churn_probability`` (0-1) and ``churn`` (at the card's threshold) per row."""
        contract = self.release.contract
        absent = pd.Series([None] * len(model_input), dtype=object)
        values = {n: model_input.get(n, absent).tolist() for n in contract.columns}
        probability = self.release.model.score(values_to_columns(values, contract))
        churn = (probability >= self.release.card.threshold).astype(np.int64)
        return pd.DataFrame(
            {"churn_probability": probability, "churn": churn}, index=model_input.index
        )


mlflow.models.set_model(ReleaseModel())
