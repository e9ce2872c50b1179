"""An embedded run writes into its home folder and nowhere else that people keep things."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.fedchurn_command import fedchurn

pytestmark = pytest.mark.e2e

# Caches of plots and of Keras' own settings; libraries look for them under HOME.
CACHES = {".cache", ".config", ".keras"}


def test_home_and_the_working_folder_stay_as_they_were(tmp_path: Path) -> None:
    person, work, home = (tmp_path / name for name in ("person", "work", "home"))
    person.mkdir()
    work.mkdir()
    ended = fedchurn(
        work,
        *("train", "--set", "evaluation.baselines=false", "--set", f"home={home}", "--json"),
        HOME=str(person),
    )
    assert ended.last_object["outcome"] == "promoted", str(ended)
    assert {path.name for path in person.iterdir()} <= CACHES
    assert list(work.iterdir()) == []
    assert {"mlflow.db", "prefect", "releases", "stages"} <= {path.name for path in home.iterdir()}
