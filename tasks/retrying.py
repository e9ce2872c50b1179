"""Which failures are worth another try."""

from __future__ import annotations

from typing import Any

from fedchurn.errors import FedchurnError, TrackingError


def is_passing(_task: Any, _run: Any, state: Any) -> bool:
    """Whether a failed task may succeed when tried again: servers come back, wrong rows do not."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, TrackingError) or not isinstance(error, FedchurnError)
