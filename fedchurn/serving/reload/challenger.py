"""The challenger of an experiment: loaded from its folder, proven, and only if it fits."""

from __future__ import annotations

import logging
import time

from fedchurn.contract.schema import Contract
from fedchurn.errors import FedchurnError
from fedchurn.serving.records import CHALLENGER
from fedchurn.serving.reload.golden import model_fault
from fedchurn.serving.reload.loading import load_wanted
from fedchurn.serving.reload.release_source import WantedRelease, manifest_id
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.serving_settings import ServingSettings

logger = logging.getLogger("bentoml.churn.experiment")

RETRY_SECONDS = 30.0


class ChallengerSource:
    """Follows the folder that the settings name; a challenger that fails never costs an answer."""

    def __init__(self, settings: ServingSettings) -> None:
        self._timeout_seconds = settings.model_timeout_seconds
        self._folder = settings.challenger
        self._loaded: ServedRelease | None = None
        self._fault: str | None = None
        self._tried: str | None = None
        self._retry_at = 0.0

    def current(self, champion: ServedRelease) -> tuple[ServedRelease | None, str | None]:
        """The challenger beside ``champion``, or None and why; loads only what has changed."""
        if self._folder is None:
            return None, None
        wanted = WantedRelease(self._folder.resolve(), None, None, "FEDCHURN_SERVE_CHALLENGER")
        found = f"{wanted.folder}: {manifest_id(wanted.folder)}"
        overdue = self._fault is not None and time.monotonic() >= self._retry_at
        if found != self._tried or overdue:
            self._load(wanted)
            self._tried = found
        if self._loaded is None:
            return None, self._fault
        misfit = misfit_of(champion, self._loaded)
        return (None, misfit) if misfit else (self._loaded, None)

    def check_golden(self) -> bool:
        """Compute the golden rows again; one that fails is out until it has been loaded anew."""
        fault = model_fault(self._loaded) if self._loaded else None
        if fault is not None:
            self._refuse(fault)
        return fault is None

    def _load(self, wanted: WantedRelease) -> None:
        try:
            self._loaded = load_wanted(
                wanted, role=CHALLENGER, model_timeout_seconds=self._timeout_seconds
            )
            self._fault = None
            logger.info("challenger %s is ready", self._loaded.release_id)
        except FedchurnError as error:
            self._refuse(str(error))
        except Exception as error:  # an experiment must not cost an answer
            self._refuse(f"unexpected: {error!r}")

    def _refuse(self, fault: str) -> None:
        if fault != self._fault:
            logger.error("no challenger: %s", fault)
        self._loaded, self._fault = None, fault
        self._retry_at = time.monotonic() + RETRY_SECONDS


def misfit_of(champion: ServedRelease, challenger: ServedRelease) -> str | None:
    """Why these two cannot share traffic; None when they can.

    Rows are judged once, by the champion's contract, so both must know the same columns.
    """
    if challenger.release_id == champion.release_id:
        return f"{champion.release_id} answers as champion now, so it is no challenger"
    ours, theirs = _columns(champion.contract), _columns(challenger.contract)
    if ours == theirs and champion.id_column == challenger.id_column:
        return None
    differing = sorted(
        {
            name
            for name, kind in ours + theirs
            if (name, kind) not in ours or (name, kind) not in theirs
        }
    )
    words = ", ".join(differing) or "their order, or the id"
    return (
        f"challenger {challenger.release_id} has other columns than champion "
        f"{champion.release_id}: {words}"
    )


def _columns(contract: Contract) -> list[tuple[str, str]]:
    return [(name, column.kind) for name, column in contract.columns.items()]
