"""Rollback and promotion by hand: what is damaged never gets into production."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedchurn.errors import IntegrityError
from fedchurn.loop.production import (
    open_journal,
    promote_by_hand,
    releases_folder,
    rollback_production,
)
from fedchurn.registry.port import PREVIOUS, PRODUCTION
from fedchurn.settings_files import load_settings
from tests.integration.registry.small_home import SmallHome


def test_a_damaged_release_is_neither_rolled_back_to_nor_promoted(uri: str, tmp_path: Path) -> None:
    home = SmallHome(tmp_path)
    settings = load_settings(values={"contract": home.contract, "home": str(home.folder)})
    first, _second = home.register(seed=1), home.register(seed=2)
    promote_by_hand(settings, "1", None, "first")
    promote_by_hand(settings, "2", None, "second")
    weights = releases_folder(settings) / first.release_id / "weights.npz"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1] + b"x")

    told = open_journal(settings).history()
    with pytest.raises(IntegrityError, match=r"weights\.npz"):
        rollback_production(settings, "")
    with pytest.raises(IntegrityError, match=r"weights\.npz"):
        promote_by_hand(settings, "1", None, "again")
    assert home.registry.aliases()[PRODUCTION] == "2"
    assert home.registry.aliases()[PREVIOUS] == "1"
    assert open_journal(settings).history() == told

    weights.write_bytes(sound)
    assert rollback_production(settings, "").release_id == first.release_id
    assert home.registry.aliases()[PRODUCTION] == "1"
