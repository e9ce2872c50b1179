"""A client's own model on its disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedchurn.errors import IntegrityError, ReleaseError
from fedchurn.release.personal import (
    PersonalModel,
    own_folder,
    personal_folder,
    read_personal,
    scorer_digest,
    write_personal,
)
from tests.unit.release.releases import scorer

BASE = scorer(seed=1)
OWN = PersonalModel("a", scorer(seed=2), 0.25, 30.0, scorer_digest(BASE))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    for personal in (OWN, replace(OWN, strength=None)):
        write_personal(personal, tmp_path)
        again = read_personal(tmp_path, OWN.base_digest)
        assert (again.client, again.threshold, again.strength) == ("a", 0.25, personal.strength)
        assert again.model.to_files() == OWN.model.to_files()


def test_another_model_of_all_has_a_place_of_its_own(tmp_path: Path) -> None:
    write_personal(OWN, tmp_path)
    with pytest.raises(ReleaseError, match="belongs to this release"):
        read_personal(tmp_path, scorer_digest(scorer(seed=3)))


def test_a_second_training_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_personal(OWN, tmp_path)
    write_personal(replace(OWN, threshold=0.5), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [OWN.base_digest[:16]]
    assert read_personal(tmp_path, OWN.base_digest).threshold == 0.5


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    write_personal(OWN, tmp_path)
    (personal_folder(tmp_path, OWN.base_digest) / "weights.npz").write_bytes(b"no")
    with pytest.raises(IntegrityError):
        read_personal(tmp_path, OWN.base_digest)


def test_no_name_of_a_client_leaves_the_folder(tmp_path: Path) -> None:
    for name in ("..", ".", "a/b", "../../etc", "Contract=One year", "ü"):
        folder = own_folder(tmp_path, "shop", name)
        assert folder.resolve().parent == (tmp_path / "personal" / "shop").resolve()
