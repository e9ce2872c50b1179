"""What every registry must do; the fake and the MLflow adapter both pass it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fedchurn.errors import FedchurnError, PromotionConflict
from fedchurn.registry.journal import Journal
from fedchurn.registry.port import Registry
from fedchurn.registry.promoter import promote, refuse, rollback, stage
from fedchurn.registry.recovery import recover
from tests.unit.registry.acts import act, refused

Add = Callable[[str], str]


class RegistrySuite:
    """Subclasses give the fixtures ``registry`` and ``add`` (a new version by release id)."""

    def test_empty(self, registry: Registry) -> None:
        assert registry.aliases() == {}
        assert registry.versions() == ()
        assert registry.find("1") is None
        registry.delete_alias("production")

    def test_versions_are_numbered_and_found(self, registry: Registry, add: Add) -> None:
        assert (add("r1"), add("r2")) == ("1", "2")
        assert [v.version for v in registry.versions()] == ["1", "2"]
        found = registry.find("2")
        assert found is not None
        assert found.release_id == "r2"
        assert registry.find("3") is None
        assert registry.find("no number") is None

    def test_alias_moves_and_goes(self, registry: Registry, add: Add) -> None:
        add("r1"), add("r2")
        registry.set_alias("production", "1")
        registry.set_alias("previous", "1")
        registry.set_alias("production", "2")
        assert registry.aliases() == {"production": "2", "previous": "1"}
        registry.delete_alias("previous")
        registry.delete_alias("previous")
        assert registry.aliases() == {"production": "2"}

    def test_an_alias_needs_its_version(self, registry: Registry, add: Add) -> None:
        add("r1")
        with pytest.raises(FedchurnError):
            registry.set_alias("production", "9")
        with pytest.raises(FedchurnError):
            registry.set_tags("9", {"a": "b"})
        assert registry.aliases() == {}

    def test_tags_are_merged(self, registry: Registry, add: Add) -> None:
        add("r1")
        registry.set_tags("1", {"status": "Staging", "note": "x"})
        registry.set_tags("1", {"status": "Production"})
        found = registry.find("1")
        assert found is not None
        assert (found.tags["status"], found.tags["note"]) == ("Production", "x")

    def test_the_whole_story(self, registry: Registry, add: Add, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "journal.jsonl")
        one, two, three = add("r1"), add("r2"), add("r3")
        stage(registry, one)
        promote(registry, journal, one, None, None, act(1))
        promote(registry, journal, two, one, None, act(2))
        assert registry.aliases() == {"production": two, "previous": one}
        with pytest.raises(PromotionConflict, match=r"version 2 \(r2\)"):
            promote(registry, journal, three, one, None, act(3))
        refuse(registry, journal, three, refused("r3", "r2"), act(4))
        rollback(registry, journal, act(5))
        assert registry.aliases() == {"production": one}
        assert {v.version: v.tags["status"] for v in registry.versions()} == {
            one: "Production",
            two: "Archived",
            three: "Archived",
        }
        assert recover(registry, journal, act(6)) == ""
