"""MLflow's global store, for the calls that take no URI (logging a model, ``models:/`` sources)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def global_store(uri: str) -> Iterator[None]:
    """Make ``uri`` MLflow's global tracking URI, and put back what was there, even nothing.

    Without it MLflow would make a ``mlflow.db`` in the working directory and look there.
    """
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
