"""Keys: only the holder of a key that stands in the settings is known, and no error tells one."""

from __future__ import annotations

import hashlib

import pytest

from fedchurn.errors import SettingsError
from fedchurn.serving.access.api_keys import new_api_key, read_api_keys
from fedchurn.serving.serving_settings import read_serving_settings


def _entry(key: str, name: str = "shop", scopes: str = "predict") -> str:
    return f"{name}:{scopes}:{hashlib.sha256(key.encode()).hexdigest()}"


def test_a_new_key_is_known_by_the_entry_that_came_with_it() -> None:
    key, entry = new_api_key("shop", ["predict", "admin"])
    holder = read_api_keys([entry]).holder(key.encode())
    assert holder is not None
    assert (holder.name, holder.scopes) == ("shop", {"predict", "admin"})
    assert key not in entry


def test_two_new_keys_differ() -> None:
    assert new_api_key("shop", ["predict"])[0] != new_api_key("shop", ["predict"])[0]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_each_of_several_keys_is_found(place: int) -> None:
    keys = [new_api_key(f"caller-{i}", ["predict"]) for i in range(3)]
    holder = read_api_keys([entry for _, entry in keys]).holder(keys[place][0].encode())
    assert holder is not None
    assert holder.name == f"caller-{place}"


@pytest.mark.parametrize("presented", [b"", b"wrong", b"\xff\x00", b"SECRET"])
def test_a_wrong_key_has_no_holder(presented: bytes) -> None:
    assert read_api_keys([_entry("secret")]).holder(presented) is None


def test_the_hash_itself_is_no_key() -> None:
    entry = _entry("secret")
    assert read_api_keys([entry]).holder(entry.split(":")[2].encode()) is None


def test_no_entries_are_no_keys() -> None:
    assert not read_api_keys([])


PASTED = "fedchurn_Zm9vYmFyYmF6cXV4"


@pytest.mark.parametrize(
    "entry",
    [
        PASTED,
        f"shop:{PASTED}",
        f"{PASTED}:predict:shop",
        f"shop:predict:{PASTED}",
        f"shop:{PASTED}:{'a' * 64}",
        f"sh op {PASTED}:predict:{'a' * 64}",
        f"shop::{'a' * 64}",
        f"shop:predict:{'A' * 64}",
        f"shop:predict:{'a' * 63}",
        f":predict:{'a' * 64}",
    ],
)
def test_a_malformed_entry_stops_the_service_and_is_not_repeated(entry: str) -> None:
    environ = {"FEDCHURN_SERVE_API_KEYS": f"{_entry('good')},{entry}"}
    with pytest.raises(SettingsError, match="entry 2 ") as caught:
        read_serving_settings(environ)
    told = f"{caught.value} {caught.value.to_dict()}"
    assert PASTED not in told
    assert "a" * 40 not in told


def test_names_and_keys_must_differ() -> None:
    with pytest.raises(SettingsError, match="entry 2 has the name of an earlier entry"):
        read_api_keys([_entry("one"), _entry("two")])
    with pytest.raises(SettingsError, match="entry 2 has the hash of an earlier entry"):
        read_api_keys([_entry("one", "shop"), _entry("one", "office", "admin")])


@pytest.mark.parametrize(
    ("name", "scopes", "message"),
    [
        ("a:b", ["predict"], "'a:b' cannot name a key"),
        ("", ["predict"], "'' cannot name a key"),
        ("shop", ["predict", "admn"], r"unknown scope 'admn'\n.*did you mean 'admin'"),
    ],
)
def test_a_new_key_needs_a_sound_name_and_scope(name: str, scopes: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        new_api_key(name, scopes)


def test_settings_and_keys_print_no_hash() -> None:
    entry = _entry("secret")
    settings = read_serving_settings({"FEDCHURN_SERVE_API_KEYS": entry})
    holder = read_api_keys(settings.api_keys).holder(b"secret")
    assert entry.split(":")[2] not in f"{settings!r} {holder!r}"
    assert holder is not None
    assert repr(holder.sha256) not in repr(holder)
