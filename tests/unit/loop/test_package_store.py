"""A bento in a store: what its digest covers, and how it gets there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedchurn.loop.package_store import StoredBento

RECORD = (
    "name: churn\ncreation_time: '2026-03-0{day}T12:00:00'\nmodels:\n- creation_time: '{day}'\n"
)


def _bento(store: Path, *, code: str = "answer = 1\n", day: int = 1) -> StoredBento:
    bento = StoredBento(store, "churn", "1-ab")
    files = {
        bento.folder / "bento.yaml": RECORD.format(day=day),
        bento.folder / "src" / "service.py": code,
        bento.model_folder / "model.yaml": RECORD.format(day=day),
        bento.model_folder / "release" / "weights.npz": "weights",
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return bento


def test_equal_content_has_an_equal_digest_whenever_and_wherever(tmp_path: Path) -> None:
    one, other = _bento(tmp_path / "a"), _bento(tmp_path / "b", day=2)
    assert one.digest() is not None
    assert one.digest() == other.digest()


def test_bytecode_is_no_content(tmp_path: Path) -> None:
    bento = _bento(tmp_path)
    before = bento.digest(), bento.num_bytes()
    cache = bento.folder / "src" / "__pycache__"
    cache.mkdir()
    (cache / "service.cpython-311.pyc").write_bytes(b"compiled")
    assert (bento.digest(), bento.num_bytes()) == before


@pytest.mark.parametrize(
    "part", ["bento.yaml", "src/service.py", "model.yaml", "release/weights.npz"]
)
def test_one_changed_character_changes_the_digest(tmp_path: Path, part: str) -> None:
    bento = _bento(tmp_path)
    before = bento.digest()
    path = next(f / part for f in bento.folders if (f / part).exists())
    path.write_text(path.read_text().replace("e", "E", 1))
    assert bento.digest() not in (before, None)


def test_a_file_more_changes_the_digest(tmp_path: Path) -> None:
    bento = _bento(tmp_path)
    before = bento.digest()
    (bento.folder / "src" / "more.py").touch()
    assert bento.digest() != before


def test_what_is_not_whole_has_no_digest(tmp_path: Path) -> None:
    bento = _bento(tmp_path)
    bento.remove()
    assert bento.digest() is None
    assert not bento.folder.exists()
    assert not bento.model_folder.exists()


def test_moving_replaces_what_is_there(tmp_path: Path) -> None:
    _bento(tmp_path / "store", code="damaged\n")
    made = _bento(tmp_path / "made")
    digest = made.digest()
    moved = made.move_to(tmp_path / "store")
    assert moved.digest() == digest
    assert made.digest() is None
    assert moved.folder.stat().st_mode & 0o777 == 0o755


def test_latest_is_the_one_that_was_called_so(tmp_path: Path) -> None:
    bento = _bento(tmp_path)
    bento.call_latest()
    for kind, name in (("bentos", "churn"), ("models", "churn_release")):
        assert (tmp_path / kind / name / "latest").read_text() == "1-ab"
