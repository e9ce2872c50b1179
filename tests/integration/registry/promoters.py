"""Promoters as real processes; run as ``python -m``, they import MLflow once and then compete."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Queue

from fedchurn.errors import PromotionConflict
from fedchurn.registry.journal import Journal
from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.port import PRODUCTION
from fedchurn.registry.promoter import promote
from tests.unit.registry.acts import act


def compete(
    uri: str, journal: str, actor: str, candidates: list[str], barrier: Barrier, told: Queue[object]
) -> None:
    """Promote one candidate per round, at the same instant as the other process."""
    registry = MlflowRegistry(uri, "churn")
    for number, candidate in enumerate(candidates):
        barrier.wait(60)
        champion = registry.aliases().get(PRODUCTION)
        barrier.wait(60)
        try:
            promote(registry, Journal(Path(journal)), candidate, champion, None, act(number, actor))
            told.put((number, candidate, "won", ""))
        except PromotionConflict as error:
            told.put((number, candidate, "lost", str(error)))


class DyingRegistry(MlflowRegistry):
    """Kills its own process right after the commit point."""

    def set_alias(self, alias: str, version: str) -> None:
        super().set_alias(alias, version)
        if alias == PRODUCTION:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _, tracking_uri, journal_path = sys.argv
    dying = DyingRegistry(tracking_uri, "churn")
    promote(dying, Journal(Path(journal_path)), "2", "1", None, act(2))
