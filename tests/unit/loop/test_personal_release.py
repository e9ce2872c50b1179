"""A client's own model becomes a release that its service can load."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedchurn.errors import ReleaseError
from fedchurn.loop.personal_release import personal_release
from fedchurn.release.load import load_release
from fedchurn.release.personal import PersonalModel, scorer_digest, write_personal
from fedchurn.release.write import write_release
from tests.unit.release.releases import parts, scorer


def test_it_answers_with_the_clients_model_and_tells_no_figures_of_another(tmp_path: Path) -> None:
    whole = parts()
    of_all = write_release(whole, tmp_path / "releases")
    own = scorer(seed=99)
    digest = scorer_digest(whole.model)
    write_personal(PersonalModel("north", own, 0.125, 30.0, digest), tmp_path / "own")
    folder, _ = personal_release(of_all, tmp_path / "own", tmp_path / "releases")
    release = load_release(folder)
    assert folder != of_all
    assert release.model.to_files() == own.to_files()
    assert release.card.threshold == 0.125
    assert release.card.metrics == release.card.client_metrics == release.card.fairness == {}
    note = release.card.privacy_notes[0]
    assert "client 'north' alone" in note
    assert of_all.name in note
    assert release.fallback is not None


def test_a_model_near_another_release_is_refused(tmp_path: Path) -> None:
    of_all = write_release(parts(), tmp_path / "releases")
    other = PersonalModel("north", scorer(), 0.5, None, scorer_digest(scorer(seed=5)))
    write_personal(other, tmp_path / "own")
    with pytest.raises(ReleaseError, match=r"personalisation\.on"):
        personal_release(of_all, tmp_path / "own", tmp_path / "releases")
