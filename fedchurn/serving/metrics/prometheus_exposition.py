"""Last touches to the text that Prometheus scrapes; for BentoML's hook ``__metrics__``.

Two things cannot be said with metrics: a series that goes away again, and a counter without
``_total`` in its name, which some dashboards query.
"""

from __future__ import annotations

import re

_INFO_OF_THE_PAST = re.compile(r"^(?:fedchurn_release_info|model_info)\{.*\} 0(?:\.0)?\n", re.M)
_COUNTED = re.compile(r"^churn_predictions_total(?=[{ ])(.*\n)", re.M)


def completed(text: str) -> str:
    """``text`` without releases that answer no more, and with ``churn_predictions``.

    >>> print(completed('churn_predictions_total{label="1"} 3.0\\n'), end="")
    churn_predictions_total{label="1"} 3.0
    # HELP churn_predictions As churn_predictions_total, without its suffix
    # TYPE churn_predictions untyped
    churn_predictions{label="1"} 3.0
    """
    present = _INFO_OF_THE_PAST.sub("", text)
    again = "".join(f"churn_predictions{rest}" for rest in _COUNTED.findall(present))
    return present + _HEAD + again if again else present


_HEAD = (
    "# HELP churn_predictions As churn_predictions_total, without its suffix\n"
    "# TYPE churn_predictions untyped\n"
)
