"""Trainings that were killed and that nobody went on with: settings, rows or the code changed."""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path

from fedchurn.errors import TrackingError
from fedchurn.registry.mlflow_tracking import TrackedRun, run_exists
from fedchurn.settings import Settings

logger = logging.getLogger(__name__)

KEPT_DAYS = 14.0
RUN_FILE = "mlflow_run.json"


def remove_abandoned(settings: Settings, *, keep: str) -> tuple[str, ...]:
    """Remove checkpoints that are older than ``KEPT_DAYS``, and end their MLflow runs.

    They hold sums per client, and in private trainings the noise key; their runs would be shown as
    running for ever.

    Args:
        settings: name home and MLflow.
        keep: key of the training that is about to begin.

    Returns:
        keys that were removed, sorted.
    """
    oldest = time.time() - KEPT_DAYS * 24 * 3600
    folders = sorted((settings.home.resolve() / "training").glob("*"))
    found = [f for f in folders if f.name != keep and f.is_dir() and _newest(f) < oldest]
    for folder in found:
        _end_run(settings.tracking_uri, folder / RUN_FILE)
        shutil.rmtree(folder, ignore_errors=True)
    return tuple(folder.name for folder in found)


def _newest(folder: Path) -> float:
    """When anything in it was written last, in seconds since 1970."""
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))


def _end_run(uri: str, file: Path) -> None:
    """End the run as KILLED; a store that refuses does not keep a training from beginning."""
    try:
        run_id = str(json.loads(file.read_text(encoding="utf-8"))["run_id"])
        if run_exists(uri, run_id):
            TrackedRun(uri, run_id).end("KILLED")
    except (OSError, ValueError, KeyError, TrackingError) as error:
        logger.warning("the MLflow run of %s is not ended: %s", file.parent, error)
