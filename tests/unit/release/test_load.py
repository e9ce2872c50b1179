"""A release folder is what its manifest says, or it is refused by name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.errors import IntegrityError
from fedchurn.release.load import check_golden, load_release
from fedchurn.release.manifest import MANIFEST, manifest_bytes, verify_manifest
from fedchurn.release.weights import read_weights, weights_bytes, weights_digest
from fedchurn.release.write import write_release
from tests.unit.release.releases import parts, scorer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_release(parts(), tmp_path)


def resign(folder: Path) -> None:
    files = {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != MANIFEST
    }
    (folder / MANIFEST).write_bytes(manifest_bytes(files))


def test_what_is_written_is_read(folder: Path) -> None:
    release = load_release(folder)
    given = parts()
    assert release.release_id == folder.name
    assert release.card.to_dict() == given.card.to_dict()
    assert release.contract == given.model.contract
    assert release.reference == given.reference
    assert weights_digest(release.model.weights) == weights_digest(given.model.weights)
    assert release.fallback is not None
    assert check_golden(release) == 0.0


def test_a_release_without_fallback_is_fine(tmp_path: Path) -> None:
    release = load_release(write_release(parts(fallback=False), tmp_path))
    assert release.fallback is None
    assert check_golden(release) == 0.0


@pytest.mark.parametrize(
    "name", ["weights.npz", "card.json", "contract.yaml", "fallback/model.json"]
)
def test_one_changed_byte_is_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(IntegrityError, match=f"'{name}' is changed"):
        verify_manifest(folder)


def test_missing_and_extra_files_are_named(folder: Path) -> None:
    (folder / "weights.npz").rename(folder / "weights.npz.bak")
    with pytest.raises(IntegrityError, match=r"'weights\.npz' is missing"):
        verify_manifest(folder)
    (folder / "weights.npz.bak").rename(folder / "weights.npz")
    (folder / "fallback" / "hook.py").write_text("import os")
    with pytest.raises(IntegrityError, match=r"'fallback/hook\.py' is extra"):
        verify_manifest(folder)


@pytest.mark.parametrize("kind", ["file", "folder", "broken"])
def test_symlinks_are_refused(folder: Path, tmp_path: Path, kind: str) -> None:
    if kind == "file":
        (tmp_path / "elsewhere").write_bytes((folder / "card.md").read_bytes())
        (folder / "card.md").unlink()
        (folder / "card.md").symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        (folder / "fallback").rename(tmp_path / "elsewhere")
        (folder / "fallback").symlink_to(tmp_path / "elsewhere")
    else:
        (folder / "card.md").unlink()
        (folder / "card.md").symlink_to("nowhere")
    with pytest.raises(IntegrityError, match="symlink"):
        verify_manifest(folder)
    with pytest.raises(IntegrityError, match="symlink"):
        load_release(folder, verify=False)


def test_a_pipe_does_not_hang_the_reader(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(IntegrityError, match="neither a plain file nor a folder"):
        verify_manifest(folder)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "fallback/../../secret", "a\\b", "./card.md", "a//b"]
)
def test_a_manifest_may_not_point_outside(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("s")
    line = f"{hashlib.sha256(b's').hexdigest()}  {name}\n"
    with (folder / MANIFEST).open("a") as file:
        file.write(line)
    with pytest.raises(IntegrityError, match="is outside the folder"):
        verify_manifest(folder)


@pytest.mark.parametrize("line", ["nonsense\n", "\n", "ABC  card.md\n", "\xff\n"])
def test_a_garbled_manifest_names_its_line(folder: Path, line: str) -> None:
    old = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(line.encode("latin-1") + old)
    with pytest.raises(IntegrityError, match="line 1 is not"):
        verify_manifest(folder)


def test_no_folder_and_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="no such folder"):
        load_release(tmp_path / "none")
    with pytest.raises(IntegrityError, match="no release folder"):
        load_release(tmp_path)


def test_a_listed_file_twice_is_refused(folder: Path) -> None:
    old = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(old + old.splitlines(keepends=True)[0])
    with pytest.raises(IntegrityError, match="may not be listed"):
        verify_manifest(folder)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("card.json", b"{}", "card.json"),
        ("golden.json", b"[1]", "golden.json"),
        ("encoder.json", b'{"encodings": [{"kind": "number"}]}', "encoder.json"),
        ("model.json", b'{"inputs": 17}', "model.json"),
        ("model.json", b'{"inputs": 4, "linear": true, "hidden": []}', "takes 4"),
        ("contract.yaml", b"contract: [", "contract.yaml"),
        ("weights.npz", b"PK\x03\x04", "npz"),
    ],
)
def test_well_signed_nonsense_is_still_refused(
    folder: Path, name: str, content: bytes, says: str
) -> None:
    (folder / name).write_bytes(content)
    resign(folder)
    with pytest.raises(IntegrityError, match=says):
        load_release(folder)


@pytest.mark.parametrize("name", ["weights.npz", "card.json", "contract.yaml", "golden.json"])
def test_a_well_signed_release_that_lacks_a_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    resign(folder)
    with pytest.raises(IntegrityError, match=name):
        load_release(folder)


def test_weights_refuse_pickles_and_foreign_shapes() -> None:
    spec = scorer().spec
    buffer = io.BytesIO()
    evil = {name: np.array([{}], dtype=object) for name, _ in spec.weight_shapes()}
    np.savez(buffer, allow_pickle=True, **evil)
    with pytest.raises(IntegrityError, match="without pickles"):
        read_weights(spec, buffer.getvalue(), where="w")
    other = type(spec)(spec.inputs + 1)
    content = weights_bytes(other, [np.zeros(s) for _, s in other.weight_shapes()])
    with pytest.raises(IntegrityError, match="has shape"):
        read_weights(spec, content, where="w")


@given(st.integers(0, 2**32 - 1))
def test_weights_round_trip_exactly(seed: int) -> None:
    model = scorer(seed=seed)
    content = weights_bytes(model.spec, model.weights)
    again = read_weights(model.spec, content, where="w")
    assert all(np.array_equal(a, b) for a, b in zip(again, model.weights, strict=True))
    assert weights_bytes(model.spec, again) == content


def test_loading_needs_neither_pandas_nor_scipy_nor_a_framework(folder: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path\n"
        "from fedchurn.release.load import check_golden, load_release\n"
        f"check_golden(load_release(Path({str(folder)!r})))\n"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"pandas", "scipy", "sklearn", "mlflow", "tensorflow", "keras", "prefect"}
