"""The port to a model registry: versions of one registered model, their tags, and aliases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

PRODUCTION = "production"
PREVIOUS = "previous"
STAGING = "staging"

STATUS_TAG = "status"  # Production, Previous, Staging or Archived: what people search for
ARCHIVED_TAG = "archived"
RELEASE_TAG = "release_id"


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        version: its number, as text.
        release_id: the release inside it, or "" when it was not registered by Fedchurn.
        run_id: the tracking run that made it, or "".
        tags: everything else that was noted.
    """

    version: str
    release_id: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """A model registry; every method raises ``TrackingError`` when it cannot be reached."""

    @property
    def name(self) -> str:
        """Name of the registered model."""

    def find(self, version: str) -> ModelVersion | None:
        """A version, or None when there is no such version."""

    def versions(self) -> tuple[ModelVersion, ...]:
        """All versions, oldest first."""

    def aliases(self) -> dict[str, str]:
        """Version by alias."""

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version, in one atomic write."""

    def delete_alias(self, alias: str) -> None:
        """Remove an alias; nothing happens when there is none."""

    def set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version, leaving its other tags."""
