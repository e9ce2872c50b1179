"""A caller may name releases of this home, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.errors import ReleaseError
from fedchurn.serving.reload.files import read_record, write_record
from fedchurn.serving.reload.request import checked_name, named_release


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    folder = tmp_path / "releases"
    (folder / "shop-1.2.0-0123456789ab").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    return folder


def test_an_id_and_its_path_name_the_same_release(releases: Path) -> None:
    folder = releases / "shop-1.2.0-0123456789ab"
    assert named_release(releases, folder.name) == folder
    assert named_release(releases, str(folder)) == folder


def test_a_mistyped_id_gets_the_nearest_one(releases: Path) -> None:
    with pytest.raises(ReleaseError, match=r"did you mean 'shop-1\.2\.0-0123456789ab'"):
        named_release(releases, "shop-1.2.0-0123456789aa")


@pytest.mark.parametrize(
    "named",
    ["../secret", "..", ".", "", "/etc", "a/b", "a\\..\\b", "shop\0", "x" * 300, "../releases/a"],
)
def test_no_other_place_can_be_named(releases: Path, named: str) -> None:
    with pytest.raises(ReleaseError, match="is no release id"):
        named_release(releases, named)


def test_a_path_that_climbs_out_is_refused(releases: Path) -> None:
    for named in (releases / ".." / "secret", releases.parent / "secret", releases / ".."):
        with pytest.raises(ReleaseError):
            named_release(releases, str(named))


def test_a_symlink_is_no_release(releases: Path) -> None:
    (releases / "link").symlink_to(releases.parent / "secret")
    with pytest.raises(ReleaseError, match="there is no release 'link'"):
        named_release(releases, "link")


@given(st.text())
def test_accepted_names_stay_inside(named: str) -> None:
    try:
        name = checked_name(named)
    except ReleaseError:
        return
    assert Path("/releases").joinpath(name).parent == Path("/releases")
    assert name not in (".", "..")


def test_a_record_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "record.json"
    assert read_record(path) is None
    for number in range(3):
        write_record(path, {"number": number}, durable=number == 2)
        assert read_record(path) == {"number": number}
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReleaseError, match=r"cannot write record\.json"):
        write_record(tmp_path / "file" / "record.json", {})
