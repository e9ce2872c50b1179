"""What is in production, and how people change it by hand."""

from __future__ import annotations

import json
from pathlib import Path

from fedchurn.errors import PromotionError
from fedchurn.evaluation.artifact import write_artifact
from fedchurn.loop.provenance import actor, now
from fedchurn.registry.entry import Entry
from fedchurn.registry.journal import Journal
from fedchurn.registry.mlflow_reach import check_reachable
from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.port import PREVIOUS, PRODUCTION
from fedchurn.registry.promoter import promote, rollback
from fedchurn.registry.recovery import Act
from fedchurn.settings import Settings


def open_registry(settings: Settings) -> MlflowRegistry:
    """The registry of the settings' contract.

    Raises:
        TrackingError: MLflow is away.
    """
    check_reachable(settings.tracking_uri)
    return MlflowRegistry(settings.tracking_uri, settings.model_name(contract_name(settings)))


def open_journal(settings: Settings) -> Journal:
    """The promotion journal of the settings' contract, under home."""
    name = settings.model_name(contract_name(settings))
    return Journal(settings.home.resolve() / "journal" / f"{name}.jsonl")


def contract_name(settings: Settings) -> str:
    """Name of the contract, also where the settings give a path."""
    from fedchurn.contract.load import load_contract

    return load_contract(settings.contract).contract


def releases_folder(settings: Settings) -> Path:
    """Where release folders live."""
    return settings.home.resolve() / "releases"


def acting(note: str = "") -> Act:
    """This user, now."""
    return Act(actor=actor(), time=now(), note=note)


def promote_by_hand(settings: Settings, version: str, expect: str | None, note: str) -> Entry:
    """Put a version into production because a person says so; its release is verified first.

    Args:
        settings: name the registry.
        version: version to promote.
        expect: version that must be in production; whatever is there now by default.
        note: the person's reason.

    Raises:
        PromotionConflict: production is not what was expected.
        IntegrityError: the release is damaged.
    """
    registry, journal = open_registry(settings), open_journal(settings)
    champion = expect if expect is not None else registry.aliases().get(PRODUCTION)
    registry.fetch_release(version, releases_folder(settings))
    entry = promote(registry, journal, version, champion, None, acting(note or "by hand"))
    point_service(settings, registry)
    return entry


def rollback_production(settings: Settings, note: str) -> Entry:
    """Put the version that was live before back into production; its release is verified first.

    Raises:
        PromotionError: there is no earlier version.
        IntegrityError: its release is damaged; production stays.
    """
    registry = open_registry(settings)
    before = registry.aliases().get(PREVIOUS)
    if before is not None:
        registry.fetch_release(before, releases_folder(settings))
    entry = rollback(registry, open_journal(settings), acting(note))
    point_service(settings, registry)
    return entry


def point_service(settings: Settings, registry: MlflowRegistry) -> Path | None:
    """Tell a service on this machine which release is in production; None when nothing is.

    The pointer follows the registry's alias and is replaced in one step; the release that it names
    is verified before.

    Raises:
        IntegrityError: the release is damaged.
        ReleaseError: home cannot be written.
    """
    version = registry.aliases().get(PRODUCTION)
    if version is None:
        return None
    folder = registry.fetch_release(version, releases_folder(settings))
    facts = {"release_folder": str(folder), "release_id": folder.name, "version": version}
    content = (json.dumps(facts, indent=1) + "\n").encode()
    serving = settings.home.resolve() / "serving"
    # For a service that is asked to serve this release again, when it is no longer in production.
    write_artifact(serving / "releases" / f"{folder.name}.json", content)
    return write_artifact(serving / f"{contract_name(settings)}.json", content)


def registered_version(settings: Settings, version: str | None) -> dict[str, str]:
    """``version`` and ``release_id`` of a registered version, the newest by default.

    Raises:
        PromotionError: there is no such version.
    """
    registry = open_registry(settings)
    found = registry.versions() if version is None else (registry.find(version),)
    newest = found[-1] if found else None
    if newest is None:
        known = ", ".join(v.version for v in registry.versions()[-8:]) or "none yet"
        raise PromotionError(
            f"there is no version {version!r}" if version else "nothing is registered yet",
            where=f"registered model {registry.name}",
            next_step=f"known versions: {known}; `fedchurn train` makes one",
        )
    return {"version": newest.version, "release_id": newest.release_id}
