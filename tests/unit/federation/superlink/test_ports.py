"""A link's addresses are looked at before it starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fedchurn.errors import FederationError, SettingsError
from fedchurn.federation.superlink.ports import check_can_listen


@pytest.fixture(name="taken")
def _taken() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_port_that_another_program_has_is_named_with_its_option(taken: str) -> None:
    with pytest.raises(FederationError, match="Address already in use") as caught:
        check_can_listen({"--fleet": "127.0.0.1:0", "--control": taken})
    assert caught.value.where == f"--control {taken}"
    assert "--control HOST:PORT" in caught.value.next_step


def test_all_addresses_of_the_machine_hold_the_taken_one(taken: str) -> None:
    with pytest.raises(FederationError):
        check_can_listen({"--fleet": f"0.0.0.0:{taken.rpartition(':')[2]}"})


def test_free_addresses_stay_free() -> None:
    for _ in range(2):
        check_can_listen({"--fleet": "127.0.0.1:0", "--control": "localhost:0"})


@pytest.mark.parametrize("address", ["9092", "127.0.0.1", "127.0.0.1:", "http://a:1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(SettingsError, match="is not HOST:PORT"):
        check_can_listen({"--fleet": address})


@pytest.mark.parametrize("address", ["192.0.2.1:9092", "127.0.0.1:99999"])
def test_an_address_that_this_machine_does_not_have(address: str) -> None:
    with pytest.raises(FederationError, match="cannot listen there"):
        check_can_listen({"--fleet": address})
