"""The service finds the release that it should answer with, and takes no other."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fedchurn.errors import IntegrityError, ReleaseError
from fedchurn.release.manifest import MANIFEST
from fedchurn.serving.reload.loading import load_wanted
from fedchurn.serving.reload.release_source import WantedRelease, wanted_release
from fedchurn.serving.reload.request import request_path, write_request
from fedchurn.serving.served_release import ServedRelease
from tests.unit.release.releases import parts
from tests.unit.serving.homes import flip_one_bit, point, released, rewrite, settings_of


def _load(home: Path, bundled: WantedRelease | None = None, **changes: Any) -> ServedRelease:
    return load_wanted(wanted_release(settings_of(home, **changes), bundled))


def _ask(home: Path, release_id: str | None, pointer: Path) -> None:
    write_request(request_path(settings_of(home).workers_folder), release_id, pointer)


def test_the_pointer_of_the_contract_is_followed(tmp_path: Path) -> None:
    folder = released(tmp_path)
    point(tmp_path, folder)
    served = _load(tmp_path)
    assert (served.release_id, served.version) == (folder.name, "7")


def test_a_named_folder_comes_first_and_has_no_version(tmp_path: Path) -> None:
    folder = released(tmp_path / "elsewhere", parts(seed=8))
    pointer = point(tmp_path, released(tmp_path))
    _ask(tmp_path, released(tmp_path, parts(seed=9)).name, pointer)
    served = _load(tmp_path, release=folder)
    assert (served.release_id, served.version) == (folder.name, None)


def test_the_release_in_the_bento_comes_last(tmp_path: Path) -> None:
    inside = released(tmp_path / "bento", parts(seed=8))
    bundled = WantedRelease(inside, inside.name, "3")
    served = _load(tmp_path, bundled)
    assert (served.release_id, served.version) == (inside.name, "3")
    folder = released(tmp_path)
    point(tmp_path, folder)
    assert _load(tmp_path, bundled).release_id == folder.name


def test_a_broken_pointer_is_not_passed_over_for_the_bento(tmp_path: Path) -> None:
    inside = released(tmp_path / "bento")
    point(tmp_path, inside).write_text("{")
    with pytest.raises(ReleaseError, match="cannot be read"):
        _load(tmp_path, WantedRelease(inside, inside.name, "3"))


def test_nothing_promoted_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"serving/ecommerce\.json.*\n.*run `make demo` first"):
        _load(tmp_path, contract="ecommerce")


def test_other_contracts_in_production_are_named(tmp_path: Path) -> None:
    point(tmp_path, released(tmp_path))
    with pytest.raises(ReleaseError, match=r"set FEDCHURN_CONTRACT to one .*\(shop\)"):
        _load(tmp_path, contract="ecommerce")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"release_folder": "/x"}', '"/x"', "\0"])
def test_a_broken_pointer_is_named(tmp_path: Path, text: str) -> None:
    point(tmp_path, released(tmp_path)).write_text(text)
    with pytest.raises(ReleaseError, match=r"shop\.json: the pointer .* cannot be read"):
        _load(tmp_path)


def test_a_folder_that_holds_another_release_is_refused(tmp_path: Path) -> None:
    folder = released(tmp_path)
    point(tmp_path, folder, release_id="shop-1.2.0-000000000000")
    with pytest.raises(IntegrityError, match=rf"but the folder holds {folder.name}"):
        _load(tmp_path)


def test_one_flipped_bit_in_any_file_is_refused_and_the_file_named(tmp_path: Path) -> None:
    folder = released(tmp_path)
    point(tmp_path, folder)
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert len(files) > 8
    for path in files:
        before = path.read_bytes()
        flip_one_bit(path)
        name = path.relative_to(folder).as_posix()
        named = "file .* is (changed|missing)" if name == MANIFEST else f"'{name}' is changed"
        with pytest.raises(IntegrityError, match=named):
            _load(tmp_path)
        path.write_bytes(before)
    assert _load(tmp_path).release_id == folder.name


def test_other_golden_answers_under_a_right_manifest_are_refused(tmp_path: Path) -> None:
    folder, other = released(tmp_path), released(tmp_path, parts(seed=9))
    rewrite(other, {"weights.npz": (folder / "weights.npz").read_bytes()})
    with pytest.raises(IntegrityError, match="golden row"):
        _load(tmp_path, release=other)


def test_a_release_that_was_asked_for_holds_until_the_pointer_is_written_anew(
    tmp_path: Path,
) -> None:
    old, new = released(tmp_path), released(tmp_path, parts(seed=8))
    pointer = point(tmp_path, new)
    _ask(tmp_path, old.name, pointer)
    assert _load(tmp_path).release_id == old.name
    os.utime(point(tmp_path, new), ns=(0, pointer.stat().st_mtime_ns + 1))  # promoted again
    assert _load(tmp_path).release_id == new.name


def test_asking_without_a_name_goes_back_to_production(tmp_path: Path) -> None:
    old, new = released(tmp_path), released(tmp_path, parts(seed=8))
    pointer = point(tmp_path, new)
    _ask(tmp_path, old.name, pointer)
    _ask(tmp_path, None, pointer)
    assert _load(tmp_path).release_id == new.name


def test_a_release_that_was_asked_for_keeps_the_version_that_the_pointer_gives(
    tmp_path: Path,
) -> None:
    folder = released(tmp_path)
    pointer = point(tmp_path, folder)
    _ask(tmp_path, folder.name, pointer)
    assert _load(tmp_path).version == "7"


def test_a_request_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    pointer = point(tmp_path, released(tmp_path))
    _ask(tmp_path, None, pointer)
    request_path(settings_of(tmp_path).workers_folder).write_text("{}")
    with pytest.raises(ReleaseError, match=r"reload-request\.json.*\n.*delete this file"):
        _load(tmp_path)


def test_a_release_that_was_in_production_once_keeps_its_version(tmp_path: Path) -> None:
    old, new = released(tmp_path), released(tmp_path, parts(seed=8))
    known = tmp_path / "serving" / "releases" / f"{old.name}.json"
    known.parent.mkdir(parents=True)
    facts = {"release_folder": str(old), "release_id": old.name, "version": "3"}
    known.write_text(json.dumps(facts))  # as a promotion leaves it
    _ask(tmp_path, old.name, point(tmp_path, new))
    served = _load(tmp_path)
    assert (served.release_id, served.version) == (old.name, "3")
