"""``fedchurn package``, and the bento that it makes, served where nothing else is known."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fedchurn.errors import PromotionError
from fedchurn.quiet import apply_quiet_environment
from fedchurn.release.load import Release
from infra import processes
from tests.e2e.fedchurn_command import Ended, assert_told, clean_environment, fedchurn
from tests.integration.registry.small_home import SmallHome

pytestmark = pytest.mark.e2e
BENTOML = [sys.executable, "-m", "bentoml"]
DEADLINE_SECONDS = 50


class Packaged:
    """A small home in which ``fedchurn package`` has run, and a folder that knows nothing of it."""

    def __init__(self, folder: Path) -> None:
        apply_quiet_environment(os.environ)
        self.home = SmallHome(folder / "home")
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.too_early = self.package()
        self.release = self.home.register(seed=7)
        self.home.put_into_production("1")
        self.ended = self.package()

    def package(self) -> Ended:
        options = ("--contract", self.home.contract, "--set", f"home={self.home.folder}")
        return fedchurn(self.elsewhere, "package", *options, "--json")

    @property
    def told(self) -> dict[str, Any]:
        return self.ended.last_object

    @property
    def store(self) -> Path:
        return Path(self.told["store"])


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    return Packaged(tmp_path_factory.mktemp("package"))


def _environ(store: Path) -> dict[str, str]:
    """Nothing but the place of the store: no home, no contract, no release."""
    environ = clean_environment(BENTOML_HOME=str(store))
    environ = {k: v for k, v in environ.items() if not k.startswith(("FEDCHURN_", "PYTHON"))}
    apply_quiet_environment(environ)
    return environ


def _bentoml(*arguments: str, cwd: Path, store: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BENTOML, *arguments],
        cwd=cwd,
        env=_environ(store),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )


@contextmanager
def _served(what: str, cwd: Path, store: Path) -> Iterator[str]:
    """Address of ``bentoml serve WHAT``, which is stopped afterwards."""
    port = processes.free_port()
    started = processes.start(
        "bento",
        [*BENTOML, "serve", what, "--host", "127.0.0.1", "--port", str(port)],
        mark=f"bento-{port}",
        log=cwd / f"{port}.log",
        cwd=cwd,
        environ=_environ(store),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        ready = processes.wait_until(
            lambda: processes.read_url(f"{url}/readyz") is not None or not _lives(started),
            deadline_seconds=DEADLINE_SECONDS,
        )
        assert ready, Path(started.log).read_text()
        assert _lives(started), Path(started.log).read_text()
        yield url
    finally:
        processes.stop(started, grace_seconds=20)


def _lives(started: processes.Started) -> bool:
    return processes.is_alive(started)


def _gives_golden_answers(url: str, release: Release) -> None:
    for row, expected in zip(release.golden.rows, release.golden.probabilities, strict=True):
        content = processes.read_url(f"{url}/predict", body=json.dumps(row).encode())
        assert content is not None
        answer = json.loads(content)
        assert answer["churn_probability"] == pytest.approx(expected, abs=1e-6)
        assert (answer["release"], answer["model_version"]) == (release.release_id, "1")


def test_there_must_be_something_in_production(packaged: Packaged) -> None:
    assert_told(packaged.too_early, PromotionError.exit_code, "nothing is in production")


def test_it_says_what_was_made_and_how_to_serve_it(packaged: Packaged) -> None:
    assert packaged.ended.code == 0, str(packaged.ended)
    assert (packaged.told["outcome"], packaged.told["version"]) == ("packaged", "1")
    assert packaged.told["release_id"] == packaged.release.release_id
    assert f"bentoml serve {packaged.told['tag']}" in packaged.ended.out
    assert "passed: 12 golden rows inside the bento" in packaged.ended.out


def test_it_serves_with_nothing_else_set(packaged: Packaged) -> None:
    bento = Path(packaged.told["bento_folder"])
    before = _files(bento)
    with _served("churn_shop:latest", packaged.elsewhere, packaged.store) as url:
        _gives_golden_answers(url, packaged.release)
    # What was asked is logged beside the stores, never into the bento, with which it would travel.
    assert _files(bento) == before
    logs = packaged.store / "fedchurn" / "service" / "shop" / "predictions"
    assert [path.name for path in logs.iterdir()]


def test_a_relative_home_is_refused(packaged: Packaged) -> None:
    environ = {**_environ(packaged.store), "FEDCHURN_HOME": ".fedchurn"}
    done = subprocess.run(
        [*BENTOML, "serve", packaged.told["tag"], "--port", str(processes.free_port())],
        cwd=packaged.elsewhere,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert done.returncode == 1
    assert "FEDCHURN_HOME=$PWD/.fedchurn" in done.stderr
    assert "Traceback" not in done.stderr


def _files(folder: Path) -> list[str]:
    found = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return sorted(name for name in found if "__pycache__" not in name)


def test_it_travels_as_one_file(packaged: Packaged, tmp_path: Path) -> None:
    archive, store = str(tmp_path / "churn.bento"), tmp_path / "store"
    for arguments, home in (
        (("export", packaged.told["tag"], archive), packaged.store),
        (("import", archive), store),
    ):
        done = _bentoml(*arguments, cwd=tmp_path, store=home)
        assert done.returncode == 0, done.stdout + done.stderr
    with _served(packaged.told["tag"], tmp_path, store) as url:
        _gives_golden_answers(url, packaged.release)


def test_it_is_whole_where_an_image_holds_it(packaged: Packaged, tmp_path: Path) -> None:
    """In an image the models lie in the bento, and the store is empty."""
    name, version = packaged.told["tag"].split(":")
    bento = shutil.copytree(packaged.told["bento_folder"], tmp_path / "bento")
    models = Path("models", "churn_release", version)
    shutil.copytree(packaged.store / models, bento / models)
    done = subprocess.run(
        [sys.executable, "-m", "bentos.churn.proof", str(bento)],
        cwd=bento / "src",
        env={**_environ(tmp_path / "empty"), "FEDCHURN_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    proof = json.loads(done.stdout.splitlines()[-1])
    assert (name, proof["release_id"]) == ("churn_shop", packaged.release.release_id)
    assert proof["rows"] == 12


def test_a_damaged_model_is_refused_and_the_file_named(packaged: Packaged, tmp_path: Path) -> None:
    store = shutil.copytree(packaged.store, tmp_path / "store")
    (damaged,) = store.glob("models/churn_release/*/release/fallback/weights.npz")
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    port = str(processes.free_port())
    refused = _bentoml("serve", "churn_shop:latest", "--port", port, cwd=tmp_path, store=store)
    assert refused.returncode == 1
    assert "file 'fallback/weights.npz' is changed" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_model_that_is_gone_is_named(packaged: Packaged, tmp_path: Path) -> None:
    store = shutil.copytree(packaged.store, tmp_path / "store")
    shutil.rmtree(store / "models")
    port = str(processes.free_port())
    refused = _bentoml("serve", "churn_shop:latest", "--port", port, cwd=tmp_path, store=store)
    assert refused.returncode == 1
    assert "Model churn_release:1-" in refused.stderr
    assert "Traceback" not in refused.stderr
