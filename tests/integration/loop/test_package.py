"""A release becomes a bento: built, proven and stored, or refused and gone."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fedchurn.errors import PackageError
from fedchurn.loop.package import package_stage
from fedchurn.loop.stage import StageResult
from fedchurn.release.manifest import MANIFEST
from fedchurn.release.write import write_release
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from tests.conftest import PROJECT
from tests.unit.release.releases import parts


def _settings(home: Path) -> Settings:
    return load_settings(assignments=[f"home={home}"])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What ``find_production`` would say of a small release."""
    folder = write_release(parts(), tmp_path_factory.mktemp("releases"))
    return {
        "version": "7",
        "release_id": folder.name,
        "release_folder": str(folder),
        "contract": "shop",
        "digest": hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest(),
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packaged")


@pytest.fixture(scope="module")
def built(home: Path, found: dict[str, str]) -> StageResult:
    return package_stage(_settings(home), found)


def test_the_bento_is_called_after_contract_and_version(built: StageResult) -> None:
    assert re.fullmatch(r"churn_shop:7-[0-9a-f]{12}", built["tag"])
    assert built["proof"]["rows"] == 12
    assert built["proof"]["max_difference"] < 1e-6
    assert not built["reused"]


def test_nothing_but_the_proven_bento_is_left(home: Path, built: StageResult) -> None:
    kept = {path.relative_to(home).parts[0] for path in home.rglob("bento.yaml")}
    assert kept == {"bentoml"}
    latest = home / "bentoml" / "bentos" / "churn_shop" / "latest"
    assert f"churn_shop:{latest.read_text()}" == built["tag"]


def test_it_carries_the_release_and_says_which(built: StageResult, found: dict[str, str]) -> None:
    record = yaml.safe_load(Path(built["bento_folder"], "bento.yaml").read_text())
    (model,) = record["models"]
    assert model["tag"] == f"churn_release:{record['version']}"
    assert record["labels"] == {
        "release_id": found["release_id"],
        "contract": "shop",
        "registry_version": "7",
    }
    folder = Path(built["store"], "models", *model["tag"].split(":"))
    facts = yaml.safe_load((folder / "model.yaml").read_text())["metadata"]
    assert facts == {k: v for k, v in found.items() if k != "release_folder"}
    assert (folder / "release" / MANIFEST).read_bytes() == Path(
        found["release_folder"], MANIFEST
    ).read_bytes()


def test_equal_inputs_give_equal_bentos(
    tmp_path: Path, built: StageResult, found: dict[str, str]
) -> None:
    other = package_stage(_settings(tmp_path), found)
    assert (other["tag"], other["digest"]) == (built["tag"], built["digest"])


def test_it_holds_the_serving_side_only(built: StageResult) -> None:
    source = Path(built["bento_folder"], "src")
    held = {path.relative_to(source).parts[0] for path in source.iterdir()}
    assert held == {"bentofile.yaml", "bentos", "fedchurn", "requirements"}
    folders = {path.name for path in (source / "fedchurn").iterdir() if path.is_dir()}
    serving = {"contract", "drift", "encoding", "learning", "release", "serving"}
    assert folders - {"__pycache__"} == serving
    lock = (source / "requirements" / "serve.txt").read_text()
    assert lock == (PROJECT / "requirements" / "serve.txt").read_text()


class TestDockerfile:
    """What ``bentoml containerize`` builds from; there is no container engine here."""

    @pytest.fixture
    def lines(self, built: StageResult, tmp_path: Path) -> list[str]:
        path = tmp_path / "Dockerfile"
        code = (
            "import bentoml.container as c, sys;"
            "c.get_containerfile(sys.argv[1], sys.argv[2], enable_buildkit=False)"
        )
        environ = {"BENTOML_HOME": built["store"], "BENTOML_DO_NOT_TRACK": "True"}
        subprocess.run(
            [sys.executable, "-c", code, built["tag"], str(path)],
            cwd="/",  # elsewhere, BentoML 1.4.39 refuses its own copy of the template (#5566)
            env={**environ, "PATH": os.environ["PATH"], "HOME": str(path.parent)},
            capture_output=True,
            check=True,
        )
        text = path.read_text()
        return [line.strip() for line in text.splitlines() if line and line[0] not in "# "]

    def test_the_base_is_one_patch_release(self, lines: list[str]) -> None:
        bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
        assert len(bases) == 1
        assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", bases[0])

    def test_nothing_is_installed_that_has_no_hash(self, lines: list[str]) -> None:
        installs = [line for line in lines if "install " in line and "install -d" not in line]
        assert len(installs) == 1
        assert "--require-hashes -r ./src/requirements/serve.txt" in installs[0]
        text = "\n".join(lines)
        for unwanted in ("apt", "build-essential", "curl", "://", "uv "):
            assert unwanted not in text

    def test_it_does_not_run_as_root_nor_own_its_code(self, lines: list[str]) -> None:
        (user,) = [line for line in lines if line.startswith("USER ")]
        assert re.fullmatch(r"USER [1-9]\d+:[1-9]\d+", user)
        assert lines.index("COPY . ./") < lines.index(user)
        assert not [line for line in lines if line.startswith("COPY --chown")]

    def test_its_health_is_its_readiness(self, lines: list[str], built: StageResult) -> None:
        (check,) = [line for line in lines if line.startswith("HEALTHCHECK ")]
        script = "/home/bentoml/bento/src/bentos/churn/healthcheck.py"
        assert f'CMD ["python", "-I", "{script}"]' in check
        path = Path(built["bento_folder"], "src", "bentos", "churn", "healthcheck.py")
        assert "/readyz" in path.read_text()

    def test_it_tells_nobody_and_writes_to_one_place(self, lines: list[str]) -> None:
        settings = dict(line.split(" ", 1)[1].split("=", 1) for line in lines if line[:4] == "ENV ")
        assert settings["BENTOML_DO_NOT_TRACK"] == "True"
        assert settings["FEDCHURN_HOME"] == "/var/lib/fedchurn"
        assert settings["BENTOML_HOME"].startswith(settings["FEDCHURN_HOME"])


@pytest.mark.usefixtures("built")
class TestAgain:
    def test_unchanged_nothing_is_built(self, home: Path, found: dict[str, str]) -> None:
        assert package_stage(_settings(home), found)["reused"]

    def test_a_bento_that_is_not_what_it_was_is_made_anew(
        self, tmp_path: Path, home: Path, built: StageResult, found: dict[str, str]
    ) -> None:
        copy = shutil.copytree(home, tmp_path / "home")
        source = copy / Path(built["bento_folder"]).relative_to(home) / "src"
        (source / "fedchurn" / "errors.py").write_text("")
        again = package_stage(_settings(copy), found)
        assert not again["reused"]
        assert again["digest"] == built["digest"]
        assert (source / "fedchurn" / "errors.py").read_text()


def _project(folder: Path) -> Path:
    """A checkout of its own, to be spoilt."""
    for name in ("bentos", "fedchurn"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("bentofile.yaml", "requirements/serve.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(PROJECT / name, folder / name)
    return folder


def _spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new))


RANGES = "fedchurn/encoding/ranges.py"


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("bentofile.yaml", "exclude:", f"exclude:\n  - {RANGES}", "No module named 'fedchurn."),
        ("fedchurn/errors.py", "import difflib", "import pandas", "No module named 'pandas'"),
        ("fedchurn/learning/spec.py", "return sigmoid(", "return 0.9 * sigmoid(", "golden row"),
    ],
    ids=["a file that is not included", "a package that is not in the lock", "another answer"],
)
def test_what_does_not_prove_itself_is_deleted(
    tmp_path: Path, found: dict[str, str], path: str, old: str, new: str, said: str
) -> None:
    project = _project(tmp_path / "project")
    _spoil(project / path, old, new)
    with pytest.raises(PackageError, match=r"bento churn_shop:7-\w+: is not what") as caught:
        package_stage(_settings(tmp_path / "home"), found, project=project)
    assert said in caught.value.what
    assert "Traceback" not in caught.value.what
    assert not list((tmp_path / "home").rglob("bento.yaml"))


def test_without_a_bentofile_there_is_nothing_to_build(
    tmp_path: Path, found: dict[str, str]
) -> None:
    with pytest.raises(PackageError, match=r"no bentofile\.yaml"):
        package_stage(_settings(tmp_path / "home"), found, project=tmp_path)
