"""The least that BentoML can serve: a constant."""

from __future__ import annotations

from typing import Any

import bentoml


@bentoml.service(name="constant", workers=1)
class Constant:
    """Knows one answer."""

    @bentoml.api(route="/predict")
    def predict(self, customer: dict[str, Any], /) -> dict[str, float]:  # noqa: ARG002
        """The answer."""
        return {"churn_probability": 0.5}
