"""A registry in memory, and one that is killed on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedchurn.errors import PromotionError
from fedchurn.registry.entry import Entry, Line
from fedchurn.registry.journal import Journal
from fedchurn.registry.port import ModelVersion


class MemoryRegistry:
    """Implements the port; passes the same suite as the MLflow adapter."""

    name = "churn"

    def __init__(self) -> None:
        self._versions: dict[str, ModelVersion] = {}
        self._aliases: dict[str, str] = {}

    def add(self, release_id: str) -> str:
        version = str(len(self._versions) + 1)
        self._versions[version] = ModelVersion(version, release_id, f"run-{version}", {})
        return version

    def remove(self, version: str) -> None:
        del self._versions[version]

    def find(self, version: str) -> ModelVersion | None:
        return self._versions.get(version)

    def versions(self) -> tuple[ModelVersion, ...]:
        return tuple(self._versions.values())

    def aliases(self) -> dict[str, str]:
        return dict(self._aliases)

    def set_alias(self, alias: str, version: str) -> None:
        if version not in self._versions:
            raise PromotionError(f"there is no version {version!r}")
        self._aliases[alias] = version

    def delete_alias(self, alias: str) -> None:
        self._aliases.pop(alias, None)

    def set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        old = self._versions.get(version)
        if old is None:
            raise PromotionError(f"there is no version {version!r}")
        merged = {**old.tags, **tags}
        self._versions[version] = ModelVersion(version, old.release_id, old.run_id, merged)


class Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


class Countdown:
    """Kills at the n-th writing step, before or after the step has happened."""

    def __init__(self, step: int, *, after: bool) -> None:
        self.left, self.after, self.steps = step, after, 0

    def __enter__(self) -> None:
        self.left -= 1
        self.steps += 1
        if self.left == 0 and not self.after:
            raise Killed

    def __exit__(self, *_: object) -> None:
        if self.left == 0 and self.after:
            raise Killed


class DyingRegistry(MemoryRegistry):
    """Shares the state of another registry, and dies at a step."""

    def __init__(self, other: MemoryRegistry, countdown: Countdown) -> None:
        self._versions, self._aliases, self._countdown = other._versions, other._aliases, countdown

    def set_alias(self, alias: str, version: str) -> None:
        with self._countdown:
            super().set_alias(alias, version)

    def delete_alias(self, alias: str) -> None:
        with self._countdown:
            super().delete_alias(alias)

    def set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        with self._countdown:
            super().set_tags(version, tags)


class DyingJournal(Journal):
    """A journal that dies at a step."""

    def __init__(self, path: Path, countdown: Countdown) -> None:
        super().__init__(path)
        self._countdown = countdown

    def append(self, entry: Entry, expected_champion: str | None) -> Line:
        with self._countdown:
            return super().append(entry, expected_champion)
