"""What MLflow raises, as errors of the tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fedchurn.errors import TrackingError


@contextmanager
def mlflow_errors(uri: str, doing: str) -> Iterator[None]:
    """Turn whatever MLflow raises into a ``TrackingError`` that says what was being done."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise TrackingError(
            f"MLflow refused while {doing}: {without_password(first_line)[:300]}",
            where=without_password(uri),
            next_step="see whether MLflow is up and lets you in, then run again",
        ) from error


def is_absent(error: Exception) -> bool:
    """Whether an MLflow exception says that there is no such thing."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def without_password(text: str) -> str:
    """``text`` with the password of any URL in it replaced by ``***``."""
    return re.sub(r"(://[^/\s:@]*):[^/\s@]*@", r"\1:***@", text)
