"""Golden rows of what is answering at this moment, through every path that answers.

Loading proves a release once; this finds what happens afterwards: memory that went bad, or code
that changes what it should only read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import FedchurnError
from fedchurn.release.golden import TOLERANCE, differences
from fedchurn.serving.served_release import ServedRelease, check_quick


def model_fault(served: ServedRelease) -> str | None:
    """What is wrong with the answers of the model, single, batched and fast; None when nothing."""
    golden = served.release.golden
    try:
        single = np.array([served.model.one(row) for row in golden.rows])
        worst = max(
            _worst(single, golden.probabilities),
            _worst(served.model.many(golden.rows), golden.probabilities),
        )
        if worst <= TOLERANCE:
            check_quick(served.release, served.quick)
            return None
    except FedchurnError as error:
        return error.what
    except Exception as error:  # whatever it is, such a model may not answer
        return f"golden rows cannot be computed: {error!r}"
    return f"golden rows are answered otherwise (difference {worst:.3g}, allowed {TOLERANCE:g})"


def fallback_fault(served: ServedRelease) -> str | None:
    """The same of the fallback model."""
    golden = served.release.golden
    if served.fallback is None:
        return None
    try:
        worst = _worst(served.fallback.many(golden.rows), golden.fallback_probabilities)
    except Exception as error:
        return f"golden rows of the fallback model cannot be computed: {error!r}"
    return None if worst <= TOLERANCE else f"the fallback model is off by {worst:.3g}"


def _worst(found: NDArray[np.float64], expected: tuple[float, ...]) -> float:
    return float(differences(found, expected).max())
