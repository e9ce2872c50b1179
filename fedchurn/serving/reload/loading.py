"""A release made ready to take over from the one that answers, or the reason why it may not."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from fedchurn.errors import FedchurnError, IntegrityError
from fedchurn.serving.live import Serving
from fedchurn.serving.records import CHAMPION
from fedchurn.serving.reload.golden import fallback_fault, model_fault
from fedchurn.serving.reload.release_source import WantedRelease, manifest_id, wanted_release
from fedchurn.serving.reload.result import DAMAGED, OTHER_CONTRACT, Refused, refusing
from fedchurn.serving.reload.worker_states import worker_states
from fedchurn.serving.served_release import ServedRelease, serve_release
from fedchurn.serving.serving_settings import ServingSettings

logger = logging.getLogger("bentoml.churn.reload")


def load_wanted(
    wanted: WantedRelease, *, role: str = CHAMPION, model_timeout_seconds: float = 1.0
) -> ServedRelease:
    """Load the wanted release and make it ready; every file and all golden rows are checked.

    Raises:
        IntegrityError: the release is damaged, another one, or answers its golden rows otherwise.
    """
    served = serve_release(
        wanted.folder, wanted.version, role=role, model_timeout_seconds=model_timeout_seconds
    )
    if wanted.release_id not in (None, served.release_id):
        raise IntegrityError(
            f"it names release {wanted.release_id}, but the folder holds {served.release_id}",
            where=wanted.source,
            next_step="run `fedchurn history`, then promote or roll back to write it anew",
        )
    return served


def first_release(settings: ServingSettings, bundled: WantedRelease | None = None) -> ServedRelease:
    """What a worker that starts answers with: the wanted release.

    Where that one is damaged and other workers of this service live, it is what they answer with:
    a bad promotion must not stop the worker that takes a dead one's place. The first worker, and a
    check before the port opens, refuse.

    Raises:
        ReleaseError: no release is named, or what names it cannot be read.
        IntegrityError: the release is damaged, or answers its golden rows otherwise.
    """
    timeout = settings.model_timeout_seconds
    try:
        return load_wanted(wanted_release(settings, bundled), model_timeout_seconds=timeout)
    except FedchurnError as error:
        for state in worker_states(settings.workers_folder):
            wanted = WantedRelease(
                Path(state.release_folder), state.release, state.version, f"worker {state.pid}"
            )
            try:
                served = load_wanted(wanted, model_timeout_seconds=timeout)
            except FedchurnError:
                continue
            logger.error("as other workers do, this one answers with %s: %s", state.release, error)
            return served
        raise


def ready(wanted: WantedRelease, settings: ServingSettings, state: Serving) -> ServedRelease:
    """The wanted release, loaded and proven; the champion itself where it is that already.

    Raises:
        Refused: it is damaged, answers otherwise, or is of another contract.
    """
    champion = state.champion
    held = wanted.release_id or f"-{manifest_id(wanted.folder)}"
    if state.champion_fault is not None or not champion.release_id.endswith(held):
        return loaded(wanted, settings, champion)
    if wanted.version in (None, champion.version):
        return champion
    return replace(champion, version=wanted.version)  # the same bytes, registered again


def afresh(settings: ServingSettings, champion: ServedRelease) -> ServedRelease:
    """The champion, read from its folder again.

    Raises:
        Refused: as for ``ready``.
    """
    folder = champion.release.folder
    wanted = WantedRelease(folder, champion.release_id, champion.version, str(folder))
    return loaded(wanted, settings, champion)


def loaded(
    wanted: WantedRelease, settings: ServingSettings, champion: ServedRelease
) -> ServedRelease:
    """The wanted release, loaded anew, proven, and fit to take over from ``champion``.

    Raises:
        Refused: as for ``ready``.
    """
    with refusing(DAMAGED):
        served = load_wanted(wanted, model_timeout_seconds=settings.model_timeout_seconds)
    ours, theirs = champion.contract.contract, served.contract.contract
    if ours != theirs:
        raise Refused(
            OTHER_CONTRACT,
            f"release {served.release_id} is of contract {theirs!r}, but callers send rows of "
            f"{ours!r}; start another service for it",
        )
    fault = model_fault(served) or fallback_fault(served)
    if fault is not None:
        raise Refused(DAMAGED, f"release {served.release_id}: {fault}")
    return served
