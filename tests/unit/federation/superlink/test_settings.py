"""Settings of the driver, and the command line of the link."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from fedchurn.errors import SettingsError
from fedchurn.federation.superlink.driver import run_on_superlink
from fedchurn.federation.superlink.keys import make_keys
from fedchurn.federation.superlink.link import LinkPlace, link_command
from fedchurn.settings_files import load_settings
from fedchurn.settings_superlink import SuperlinkSettings


@pytest.mark.parametrize(
    "address", ["localhost", "host:", ":9093", "a b:1", "http://host:1", "::1:9"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ValidationError, match="control_address"):
        SuperlinkSettings(control_address=address)


@pytest.mark.parametrize(
    "address", ["localhost:9093", "10.0.0.1:1", "[::1]:9093", "a-b.example:80"]
)
def test_addresses(address: str) -> None:
    assert SuperlinkSettings(serverappio_address=address).serverappio_address == address


def test_places_are_not_published() -> None:
    settings = load_settings(None, ["federation.superlink.keys=/secret/place"])
    assert settings.federation.superlink.keys == Path("/secret/place")
    assert "/secret/place" not in str(settings.published())


def test_without_keys_the_driver_says_how_to_make_them() -> None:
    with pytest.raises(SettingsError, match="needs the driver's keys") as raised:
        run_on_superlink(SuperlinkSettings(), lambda exchange: exchange.clients())
    assert "federate keys" in raised.value.next_step


def test_the_link_has_tls_everywhere_and_admits_known_keys_only(tmp_path: Path) -> None:
    make_keys(tmp_path, ["a"])
    command = link_command(LinkPlace(tmp_path / "link", tmp_path / "state.db"))
    assert "--insecure" not in command
    assert "--enable-supernode-auth" in command
    after = dict(pairwise(command))
    for api in ("--ssl", "--appio-ssl"):
        assert after[f"{api}-certfile"] == str(tmp_path / "link" / "server.crt")
        assert after[f"{api}-keyfile"] == str(tmp_path / "link" / "server.key")
    assert after["--superexec-auth-secret-file"] == str(tmp_path / "link" / "driver.secret")
    assert after["--control-api-address"].startswith("127.0.0.1:")
    assert after["--serverappio-api-address"].startswith("127.0.0.1:")


def test_a_link_without_its_key_does_not_start(tmp_path: Path) -> None:
    make_keys(tmp_path, ["a"])
    (tmp_path / "link" / "server.key").unlink()
    with pytest.raises(SettingsError, match="key file of the link"):
        link_command(LinkPlace(tmp_path / "link", tmp_path / "state.db"))
