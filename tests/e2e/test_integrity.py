"""A release that is not what its manifest says is not served: the service stops and names the file.

Most is asked of the check that BentoML runs before it opens the port; one of each kind is tried
with ``bentoml serve``, and so is a release whose files are right and whose answers are not.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fedchurn.errors import IntegrityError
from fedchurn.release.manifest import MANIFEST, manifest_bytes, verify_manifest
from fedchurn.release.write import write_release
from tests.e2e.served import BENTOML, DEADLINE_SECONDS, PROJECT, free_port, service_environ
from tests.unit.release.releases import parts

pytestmark = [
    pytest.mark.e2e,
    # BentoML 1.4 overrides what pydantic 2.11 deprecated; it warns while it is imported.
    pytest.mark.filterwarnings(
        "ignore:.*__get_pydantic_core_schema__.*:pydantic.warnings.PydanticDeprecatedSince211"
    ),
]
FILES = (
    MANIFEST,
    "card.json",
    "card.md",
    "contract.yaml",
    "encoder.json",
    "fallback/encoder.json",
    "fallback/model.json",
    "fallback/weights.npz",
    "golden.json",
    "model.json",
    "reference.json",
    "weights.npz",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(parts(), tmp_path_factory.mktemp("releases"))


@pytest.fixture
def release(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be damaged, and that the environment names."""
    folder = tmp_path / whole.name
    shutil.copytree(whole, folder)
    monkeypatch.setenv("FEDCHURN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FEDCHURN_CONTRACT", "shop")
    monkeypatch.setenv("FEDCHURN_RELEASE", str(folder))
    return folder


def _refusal() -> str:
    """Why the service does not start, in the words of the check before its port opens."""
    from bentoml.exceptions import BentoMLException

    from bentos.churn.service import Churn

    with pytest.raises(BentoMLException) as refused:
        Churn.inner.refuse_a_bad_release()
    return str(refused.value)


def test_the_list_of_files_is_complete_and_all_are_good(release: Path) -> None:
    from bentos.churn.service import Churn

    present = {p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()}
    assert present == set(FILES)
    Churn.inner.refuse_a_bad_release()


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_is_refused_and_the_file_named(
    release: Path, name: str, place: str
) -> None:
    path = release / name
    content = bytearray(path.read_bytes())
    content[{"first": 0, "middle": len(content) // 2, "last": -1}[place]] ^= 1
    path.write_bytes(content)
    told = _refusal()
    # A manifest that lies about a file looks like a file that is not what its manifest says.
    assert name in told or (name == MANIFEST and "file '" in told)
    assert str(release) in told


def test_every_flipped_byte_of_the_manifest_is_refused(release: Path) -> None:
    path = release / MANIFEST
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(IntegrityError):
            verify_manifest(release)


def _add(release: Path) -> str:
    (release / "notes.txt").write_text("seen and approved")
    return "file 'notes.txt' is extra"


def _add_below(release: Path) -> str:
    (release / "fallback" / "weights.bin").write_bytes(b"")
    return "file 'fallback/weights.bin' is extra"


def _remove(release: Path) -> str:
    (release / "fallback" / "model.json").unlink()
    return "file 'fallback/model.json' is missing"


def _remove_the_manifest(release: Path) -> str:
    (release / MANIFEST).unlink()
    return f"{MANIFEST} is missing"


def _link_the_same_content(release: Path) -> str:
    outside = release.parent / "golden.json"
    (release / "golden.json").rename(outside)
    (release / "golden.json").symlink_to(outside)
    return "file 'golden.json' is a symlink"


def _link_a_folder(release: Path) -> str:
    outside = release.parent / "fallback"
    (release / "fallback").rename(outside)
    (release / "fallback").symlink_to(outside, target_is_directory=True)
    return "file 'fallback' is a symlink"


def _empty(release: Path) -> str:
    (release / "weights.npz").write_bytes(b"")
    return "file 'weights.npz' is changed"


def _swap(release: Path) -> str:
    """Two sound files, each in the other's place."""
    model, simple = release / "weights.npz", release / "fallback" / "weights.npz"
    content = model.read_bytes()
    model.write_bytes(simple.read_bytes())
    simple.write_bytes(content)
    return "weights.npz' is changed"


def _take_away(release: Path) -> str:
    shutil.rmtree(release)
    return "there is no such folder"


DAMAGES = (
    _add,
    _add_below,
    _remove,
    _remove_the_manifest,
    _link_the_same_content,
    _link_a_folder,
    _empty,
    _swap,
    _take_away,
)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_folder_is_refused(release: Path, damage: Callable[[Path], str]) -> None:
    told = damage(release)
    assert told in _refusal()


def _flip(release: Path) -> str:
    path = release / "fallback" / "weights.npz"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return "file 'fallback/weights.npz' is changed"


@pytest.mark.parametrize("damage", [_flip, _link_the_same_content])
def test_bentoml_serve_ends_at_once_without_a_traceback(
    release: Path, tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    told = damage(release)
    ended = _serve(release, tmp_path)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "roll back" in ended.stderr  # what to do
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "listening on" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("num_workers", [1, 2])
def test_other_answers_than_were_judged_end_the_server(
    release: Path, tmp_path: Path, num_workers: int
) -> None:
    """The files are what the manifest says; only a worker can tell that the answers are not."""
    golden = release / "golden.json"
    stored = json.loads(golden.read_bytes())
    stored["probabilities"][3] += 0.01
    golden.write_text(json.dumps(stored))
    names = [name for name in FILES if name != MANIFEST]
    content = {name: (release / name).read_bytes() for name in names}
    (release / MANIFEST).write_bytes(manifest_bytes(content))
    verify_manifest(release)
    options = f"services.churn.workers={num_workers}"
    ended = _serve(release, tmp_path, BENTOML_CONFIG_OPTIONS=options)
    assert ended.returncode == 1
    told = ended.stdout + ended.stderr
    assert "the service cannot start" in told
    assert "golden row 4 of 12" in told
    assert "Traceback" not in told


def _serve(release: Path, tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    named = {"FEDCHURN_CONTRACT": "shop", "FEDCHURN_RELEASE": str(release)}
    return subprocess.run(
        [*BENTOML, "serve", "--host", "127.0.0.1", "--port", str(free_port())],
        cwd=PROJECT,
        env=service_environ(tmp_path / "home", **named, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
