"""The registry port on MLflow: embedded (sqlite) or a server, by its tracking URI."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedchurn.errors import PromotionError, TrackingError
from fedchurn.registry.mlflow_errors import is_absent, mlflow_errors
from fedchurn.registry.mlflow_global import global_store
from fedchurn.registry.port import RELEASE_TAG, ModelVersion
from fedchurn.release.load import load_release

RELEASES = "releases"  # artifact folder of a run that holds release folders


class MlflowRegistry:
    """Versions of one registered model in MLflow.

    Args:
        uri: tracking URI, which is the registry's too.
        name: of the registered model; need not exist yet.
    """

    def __init__(self, uri: str, name: str) -> None:
        from mlflow import MlflowClient

        self.uri = uri
        self._name = name
        with mlflow_errors(uri, "opening the registry"):
            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    @property
    def name(self) -> str:
        return self._name

    def find(self, version: str) -> ModelVersion | None:
        """A version, or None when there is no such version."""
        if not version.isdecimal():
            return None
        with mlflow_errors(self.uri, f"looking up version {version} of {self._name}"):
            found = _or_none(lambda: self._client.get_model_version(self._name, version))
        return _record(found) if found is not None else None

    def versions(self) -> tuple[ModelVersion, ...]:
        """All versions, oldest first."""
        with mlflow_errors(self.uri, f"listing versions of {self._name}"):
            found = self._pages()
        return tuple(sorted(map(_record, found), key=lambda v: int(v.version)))

    def aliases(self) -> dict[str, str]:
        """Version by alias."""
        with mlflow_errors(self.uri, f"reading the aliases of {self._name}"):
            model = _or_none(lambda: self._client.get_registered_model(self._name))
        return {a: str(v) for a, v in model.aliases.items()} if model is not None else {}

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version: one row of the data base, so one atomic write."""
        self._need(version)
        with mlflow_errors(self.uri, f"pointing alias {alias} at version {version}"):
            self._client.set_registered_model_alias(self._name, alias, version)

    def delete_alias(self, alias: str) -> None:
        """Remove an alias; nothing happens when there is none."""
        with mlflow_errors(self.uri, f"removing alias {alias}"):
            _or_none(lambda: self._client.delete_registered_model_alias(self._name, alias))

    def set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version, leaving its other tags."""
        self._need(version)
        with mlflow_errors(self.uri, f"tagging version {version}"):
            for key, value in tags.items():
                self._client.set_model_version_tag(self._name, version, key, value)

    def create_version(
        self, source: str, *, run_id: str, model_id: str | None, tags: Mapping[str, str]
    ) -> str:
        """Register what is at ``source`` (``models:/...`` or ``runs:/...``); gives its number."""
        from mlflow.exceptions import MlflowException

        doing = f"registering a version of {self._name}"
        with mlflow_errors(self.uri, doing), global_store(self.uri):
            if _or_none(lambda: self._client.get_registered_model(self._name)) is None:
                try:
                    self._client.create_registered_model(self._name)
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":  # somebody else was faster
                        raise
            made = self._client.create_model_version(
                self._name, source, run_id, tags=dict(tags), model_id=model_id
            )
        return str(made.version)

    def fetch_release(self, version: str, releases: Path) -> Path:
        """Bring the release of a version into ``releases`` and verify it; gives its folder.

        Raises:
            TrackingError: MLflow is away, or the version holds no release.
            IntegrityError: what came is not what its manifest says.
        """
        found = self.find(version) or self._need(version)
        folder = self._release_folder(found, releases)
        if not folder.is_dir():
            with mlflow_errors(self.uri, f"fetching release {found.release_id} to {releases}"):
                self._download(found, folder)
        release = load_release(folder)
        if release.release_id != found.release_id:
            raise TrackingError(
                f"version {version} says release {found.release_id}, its files say "
                f"{release.release_id}",
                where=f"registered model {self._name}",
                next_step="register the release again",
            )
        return folder

    def _release_folder(self, found: ModelVersion, releases: Path) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", found.release_id):  # becomes a path
            raise TrackingError(
                f"version {found.version} holds no release ({found.release_id!r})",
                where=f"registered model {self._name}",
                next_step="register it with fedchurn train",
            )
        return releases / found.release_id

    def _download(self, found: ModelVersion, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as partial:
            path = f"{RELEASES}/{found.release_id}"
            came = Path(self._client.download_artifacts(found.run_id, path, partial))
            load_release(came)
            if not folder.is_dir():
                came.rename(folder)

    def _need(self, version: str) -> ModelVersion:
        found = self.find(version)
        if found is None:
            raise PromotionError(
                f"there is no version {version!r}",
                where=f"registered model {self._name}",
                next_step="see the versions with fedchurn history, or in the MLflow UI",
            )
        return found

    def _pages(self) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            quoted = self._name.replace("'", "\\'")
            page = self._client.search_model_versions(f"name='{quoted}'", page_token=token)
            found += page
            token = page.token
            if not token:
                return found


def _or_none(ask: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if is_absent(error):
            return None
        raise


def _record(found: Any) -> ModelVersion:
    tags = dict(found.tags)
    return ModelVersion(
        str(found.version), tags.get(RELEASE_TAG, ""), str(found.run_id or ""), tags
    )
