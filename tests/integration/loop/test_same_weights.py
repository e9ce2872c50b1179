"""Same rows, same seed: the same bytes, in any process, in any order, on any engine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedchurn.contract.load import load_contract
from fedchurn.data.sample import generate_sample
from fedchurn.loop.federate import federate
from fedchurn.loop.trained_run import SECONDS, write_run
from fedchurn.loop.validate import client_files, validate_stage
from fedchurn.quiet import apply_quiet_environment
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from tests.conftest import PROJECT

Digests = dict[str, str]
QUICK = {
    "additive": ("training.phases.0.num_rounds=4", "training.phases.0.refit_rounds=2"),
    "reference": ("training.phases.0.num_rounds=3", "training.phases.0.batch_size=32"),
}


def settings_of(recipe: str, home: Path, rows: Path, *more: str) -> Settings:
    place = (f"home={home}", f"data.location={rows}", "data.scheme=iid")
    return load_settings(None, [*place, *QUICK[recipe], *more], {"recipe": recipe})


def main(home: Path, rows: Path, plan: list[list[str]]) -> None:
    """Trains what ``plan`` says, one after the other; prints the digests of each."""
    apply_quiet_environment(os.environ)
    contract = load_contract("ecommerce")
    told = []
    for number, (recipe, *more) in enumerate(plan):
        settings = settings_of(recipe, home, rows, *more)
        files = client_files(validate_stage(settings, contract))
        folder = home / f"run_{number}"
        folder.mkdir()
        kept = home / f"kept_{number}"
        write_run(federate(files, contract, settings, lambda _record, _total: None, kept), folder)
        told.append(_digests(folder))
    sys.stdout.write(json.dumps(told) + "\n")


def _digests(folder: Path) -> Digests:
    """sha256 of all that a training leaves, but for how long it took."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SECONDS
    }


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "customers.csv"
    generate_sample(load_contract("ecommerce"), rows=600, seed=3).to_csv(path, index=False)
    return path


def train(home: Path, rows: Path, *plan: tuple[str, ...]) -> list[Digests]:
    """``main`` in a process of its own, with another order of hashes every time."""
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(home), str(rows), json.dumps(plan)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=500,
    )
    answer: list[Digests] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, rows: Path) -> list[Digests]:
    """Additive, then reference, in process."""
    home = tmp_path_factory.mktemp("trained") / "home"
    return train(home, rows, ("additive",), ("reference",))


def test_same_seed_same_bytes(trained: list[Digests], rows: Path, tmp_path: Path) -> None:
    additive, reference = trained
    for digests in trained:
        assert {"model/weights.npz", "fallback/weights.npz", "rounds.json"} <= set(digests)
    again = train(tmp_path / "home", rows, ("reference",), ("additive",), ("reference", "seed=7"))
    assert again[:2] == [reference, additive]
    assert again[2]["model/weights.npz"] != reference["model/weights.npz"], "the seed does matter"


@pytest.mark.e2e
def test_ray_gives_the_bytes_of_one_process(
    trained: list[Digests], rows: Path, tmp_path: Path
) -> None:
    (in_ray,) = train(tmp_path / "home", rows, ("additive", "federation.engine=ray"))
    assert in_ray == trained[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
