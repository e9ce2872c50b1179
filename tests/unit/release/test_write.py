"""A release is written whole, with equal bytes for equal parts, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fedchurn.errors import IntegrityError, ReleaseError
from fedchurn.release.folder import write_file, write_folder
from fedchurn.release.write import contract_bytes, release_files, write_release
from tests.unit.release.releases import CONTRACT, card, parts, scorer

SIX = {"a.json": b"{}", "b/c.bin": b"12345", "d.txt": b"", "b/e.bin": b"6"}


def test_release_holds_the_named_files_and_no_pickle(tmp_path: Path) -> None:
    folder = write_release(parts(), tmp_path / "releases")
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    scorer_files = {"encoder.json", "model.json", "weights.npz"}
    assert names == scorer_files | {f"fallback/{n}" for n in scorer_files} | {
        "card.json",
        "card.md",
        "contract.yaml",
        "golden.json",
        "reference.json",
        "MANIFEST.sha256",
    }
    assert folder.name.startswith("shop-1.2.0-")
    assert len(folder.name.rsplit("-", 1)[1]) == 12
    assert list(tmp_path.rglob(".*")) == []


def test_manifest_is_what_sha256sum_writes(tmp_path: Path) -> None:
    folder = write_release(parts(), tmp_path)
    done = subprocess.run(
        ["sha256sum", "--strict", "--check", "MANIFEST.sha256"], cwd=folder, capture_output=True
    )
    assert done.returncode == 0, done.stdout
    lines = (folder / "MANIFEST.sha256").read_text().splitlines()
    assert [line[66:] for line in lines] == sorted(line[66:] for line in lines)


def test_equal_parts_give_equal_bytes_even_later_and_in_another_process() -> None:
    first = release_files(parts())
    code = (
        "import hashlib\n"
        "from tests.unit.release.releases import parts\n"
        "from fedchurn.release.write import release_files\n"
        "print(hashlib.sha256(release_files(parts())['MANIFEST.sha256']).hexdigest())"
    )
    time.sleep(2.1)  # zip files count time in steps of two seconds
    assert release_files(parts()) == first
    second = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "5"},
    )
    assert second.stdout.strip() == hashlib.sha256(first["MANIFEST.sha256"]).hexdigest()


def test_other_weights_give_another_id_and_the_same_parts_the_same_folder(tmp_path: Path) -> None:
    first = write_release(parts(seed=1), tmp_path)
    assert write_release(parts(seed=1), tmp_path) == first
    assert write_release(parts(seed=2), tmp_path) != first
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_release_of_the_same_id_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    folder = write_release(parts(), tmp_path)
    (folder / "card.md").write_text("better")
    with pytest.raises(IntegrityError, match=r"card\.md.*changed"):
        write_release(parts(), tmp_path)


def test_parts_of_different_contracts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"card is of contract other 1\.2\.0"):
        write_release(parts(contract="other"), tmp_path)
    with pytest.raises(ReleaseError, match="contract digest abc is not"):
        write_release(parts(contract_digest="abc"), tmp_path)
    odd = replace(scorer(), spec=replace(scorer().spec, inputs=3))
    with pytest.raises(ReleaseError, match="encoder gives 15 inputs, the model takes 3"):
        write_release(replace(parts(), model=odd), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = scorer()
    model.weights[1][0] = float("nan")
    with pytest.raises(ReleaseError, match=r"'linear\.bias' holds a value that is not finite"):
        write_release(replace(parts(), model=model), tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("good_files", range(len(SIX)))
def test_whichever_file_the_system_refuses_nothing_stays(
    tmp_path: Path, code: int, good_files: int
) -> None:
    written: list[Path] = []

    def failing(path: Path, content: bytes) -> None:
        if len(written) == good_files:
            path.write_bytes(content[:1])
            raise OSError(code, os.strerror(code), str(path))
        written.append(path)
        write_file(path, content)

    target = tmp_path / "releases" / "shop-1.0.0-abc"
    with pytest.raises(ReleaseError) as caught:
        write_folder(target, SIX, write=failing)
    assert os.strerror(code) in caught.value.what
    assert str(tmp_path / "releases") in caught.value.what
    assert caught.value.next_step
    assert list((tmp_path / "releases").iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "releases").write_text("not a folder")
    with pytest.raises(ReleaseError, match=r"cannot write .*releases"):
        write_release(parts(), tmp_path / "releases")


IN_SMALL_DISK = """
import sys
from pathlib import Path
from fedchurn.errors import ReleaseError
from fedchurn.release.folder import write_folder
disk = Path(sys.argv[1])
try:
    write_folder(disk / "r", {f"{i}.bin": b"x" * 30000 for i in range(8)})
except ReleaseError as error:
    print(error.what, error.next_step, sorted(disk.iterdir()), sep="|")
"""


@pytest.mark.parametrize(
    ("options", "reason"),
    [("size=64k", "No space left on device"), ("ro", "Read-only file system")],
)
def test_real_full_and_read_only_disks(tmp_path: Path, options: str, reason: str) -> None:
    script = tmp_path / "write.py"
    script.write_text(IN_SMALL_DISK)
    disk = tmp_path / "disk"
    disk.mkdir()
    shell = f"mount -t tmpfs -o {options} tmpfs {disk} && exec {sys.executable} {script} {disk}"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", shell],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        pytest.skip(f"NO PRIVATE MOUNT HERE, full disk not tried: {done.stderr.strip()[:120]}")
    what, next_step, left = done.stdout.strip().split("|")
    assert reason in what
    assert str(disk) in next_step
    assert left == "[]"


def test_contract_survives_the_release() -> None:
    text = contract_bytes(CONTRACT)
    assert type(CONTRACT).model_validate(yaml.safe_load(text)) == CONTRACT


def test_shipped_contracts_survive_the_release() -> None:
    folder = Path(__file__).parents[3] / "configs" / "contracts"
    for path in sorted(folder.glob("*.yaml")):
        contract = type(CONTRACT).model_validate(yaml.safe_load(path.read_text()))
        assert contract_bytes(contract)


def test_card_page_says_sample_and_names_the_absent() -> None:
    page = release_files(parts())["card.md"].decode()
    assert "generated sample" in page
    assert "south: no answer in 600 s" in page
    assert "| accuracy | 0.894 | 0.83 |" in page
    assert "generated sample" not in release_files(parts(is_sample=False))["card.md"].decode()


def test_card_round_trip_and_unknown_key() -> None:
    stored = card().to_dict()
    assert stored["client_metrics"]["south"] == {"roc_auc": None}
    again = type(card()).from_dict(stored)
    assert again.participants == ("north", "south")
    assert again.to_dict() == stored
    with pytest.raises(ReleaseError, match="accuracies"):
        type(card()).from_dict(stored | {"accuracies": 1})


def test_data_digest_depends_on_who_holds_which_rows_not_on_their_order() -> None:
    one = card(data_digests={"north": "a", "south": "b"}).data_digest
    assert card(data_digests={"south": "b", "north": "a"}).data_digest == one
    assert card(data_digests={"north": "b", "south": "a"}).data_digest != one
