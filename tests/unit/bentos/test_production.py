"""The service finds the release in production, and takes no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentos.churn.production import load_served_release
from fedchurn.errors import IntegrityError, ReleaseError
from fedchurn.release.write import write_release
from tests.unit.release.releases import parts


def _point(home: Path, folder: Path, contract: str = "shop", **changes: str) -> Path:
    """What a promotion leaves behind."""
    facts = {"release_folder": str(folder), "release_id": folder.name, "version": "7", **changes}
    pointer = home / "serving" / f"{contract}.json"
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.write_text(json.dumps(facts))
    return pointer


def test_the_pointer_of_the_contract_is_followed(tmp_path: Path) -> None:
    folder = write_release(parts(), tmp_path / "releases")
    _point(tmp_path, folder)
    served = load_served_release({"FEDCHURN_HOME": str(tmp_path), "FEDCHURN_CONTRACT": "shop"})
    assert served.release.release_id == folder.name
    assert served.version == "7"


def test_a_named_folder_comes_first_and_has_no_version(tmp_path: Path) -> None:
    folder = write_release(parts(seed=8), tmp_path / "elsewhere")
    _point(tmp_path, write_release(parts(), tmp_path / "releases"))
    served = load_served_release(
        {
            "FEDCHURN_RELEASE": str(folder),
            "FEDCHURN_HOME": str(tmp_path),
            "FEDCHURN_CONTRACT": "shop",
        }
    )
    assert served.release.release_id == folder.name
    assert served.version is None


def test_nothing_promoted_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"serving/ecommerce\.json.*\n.*run `make demo` first"):
        load_served_release({"FEDCHURN_HOME": str(tmp_path)})


def test_other_contracts_in_production_are_named(tmp_path: Path) -> None:
    _point(tmp_path, write_release(parts(), tmp_path / "releases"))
    with pytest.raises(ReleaseError, match=r"set FEDCHURN_CONTRACT to one .*\(shop\)"):
        load_served_release({"FEDCHURN_HOME": str(tmp_path)})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"release_folder": "/x"}', '"/x"'])
def test_a_broken_pointer_is_named(tmp_path: Path, text: str) -> None:
    pointer = tmp_path / "serving" / "ecommerce.json"
    pointer.parent.mkdir()
    pointer.write_text(text)
    with pytest.raises(ReleaseError, match=r"ecommerce\.json: the pointer .* cannot be read"):
        load_served_release({"FEDCHURN_HOME": str(tmp_path)})


def test_a_folder_that_holds_another_release_is_refused(tmp_path: Path) -> None:
    folder = write_release(parts(), tmp_path / "releases")
    _point(tmp_path, folder, "ecommerce", release_id="shop-1.2.0-000000000000")
    with pytest.raises(IntegrityError, match=rf"but the folder holds {folder.name}"):
        load_served_release({"FEDCHURN_HOME": str(tmp_path)})


@pytest.mark.parametrize("name", ["card.json", "contract.yaml", "golden.json", "encoder.json"])
def test_one_flipped_bit_is_refused_and_the_file_named(tmp_path: Path, name: str) -> None:
    folder = write_release(parts(), tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(IntegrityError, match=f"file '{name}' is changed"):
        load_served_release({"FEDCHURN_RELEASE": str(folder)})


def test_other_golden_answers_under_a_right_manifest_are_refused(tmp_path: Path) -> None:
    folder = write_release(parts(), tmp_path)
    other = write_release(parts(seed=9), tmp_path)
    files = {p.name: p.read_bytes() for p in other.iterdir() if p.is_file()}
    files["weights.npz"] = (folder / "weights.npz").read_bytes()
    _rewrite(other, files)
    with pytest.raises(IntegrityError, match="golden row"):
        load_served_release({"FEDCHURN_RELEASE": str(other)})


def _rewrite(folder: Path, files: dict[str, bytes]) -> None:
    """Put ``files`` into a release and make its manifest right again."""
    from fedchurn.release.manifest import MANIFEST, manifest_bytes

    for name, content in files.items():
        (folder / name).write_bytes(content)
    every = {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    del every[MANIFEST]
    (folder / MANIFEST).write_bytes(manifest_bytes(every))
