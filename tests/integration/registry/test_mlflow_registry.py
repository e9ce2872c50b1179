"""The MLflow adapter passes the suite of the port."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedchurn.errors import PromotionError, TrackingError
from fedchurn.registry.mlflow_registry import MlflowRegistry
from tests.integration.registry.versions import add_version
from tests.unit.registry.registry_suite import Add, RegistrySuite


@pytest.fixture
def add(registry: MlflowRegistry) -> Add:
    return lambda release_id: add_version(registry, release_id)


class TestMlflowRegistry(RegistrySuite):
    """The real one does what the fake does."""


def test_a_version_without_a_release_is_not_fetched(
    registry: MlflowRegistry, tmp_path: Path
) -> None:
    add_version(registry, "")
    add_version(registry, "../../elsewhere")
    for version in ("1", "2"):
        with pytest.raises(TrackingError, match=f"version {version} holds no release"):
            registry.fetch_release(version, tmp_path / "releases")
    with pytest.raises(PromotionError, match="no version '3'"):
        registry.fetch_release("3", tmp_path / "releases")
    assert not (tmp_path / "releases").exists()


def test_versions_are_in_order_of_their_numbers(registry: MlflowRegistry) -> None:
    for number in range(1, 13):
        add_version(registry, f"r{number}")
    assert [v.version for v in registry.versions()] == [str(n) for n in range(1, 13)]
