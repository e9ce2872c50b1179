"""The model in production, as far as a decision about retraining asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedchurn.loop.production import open_registry, releases_folder
from fedchurn.loop.promote import dealing
from fedchurn.loop.retraining.base_rows import BaseRows
from fedchurn.registry.port import PRODUCTION
from fedchurn.release.card import Card
from fedchurn.release.load import load_release
from fedchurn.settings import Settings


def champion_card(settings: Settings) -> tuple[str, Card] | None:
    """Release id and card of the version in production; None when there is none.

    Raises:
        TrackingError: MLflow is away.
        IntegrityError: the release is damaged.
    """
    registry = open_registry(settings)
    version = registry.aliases().get(PRODUCTION)
    if version is None:
        return None
    release = load_release(registry.fetch_release(version, releases_folder(settings)))
    return release.release_id, release.card


def objection(card: Card, base: BaseRows, settings: Settings) -> str:
    """Why promotion would refuse any model of these rows and settings, in words; else ""."""
    if base.is_sample and not card.is_sample:
        return (
            "The rows are a generated sample, and the model in production is of real rows: "
            "promotion would refuse; name the real rows (data.location)."
        )
    if dealing(card.settings) != dealing(settings.published()):
        return (
            "The model in production was trained with other split or data settings: promotion "
            "could not compare; retrain with the same ones."
        )
    return ""


def validate_stages(home: Path) -> Iterator[dict[str, Any]]:
    """Results of the validate stages that are still on this machine, newest first."""
    found = (home.resolve() / "stages").glob("validate-*/stage.json")
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            yield {**json.loads(path.read_text(encoding="utf-8")), "folder": str(path.parent)}
        except (OSError, ValueError):
            continue  # being removed
