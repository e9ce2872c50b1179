"""``fedchurn federate``: what is refused before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedchurn.cli.main import app
from fedchurn.federation.superlink.keys import client_key, make_keys

runner = CliRunner()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_keys_tells_what_goes_where() -> None:
    ended = runner.invoke(
        app, ["federate", "keys", "--folder", "keys", "--clients", "north, south", "--json"]
    )
    assert ended.exit_code == 0, ended.output
    for word in ("keys/link", "keys/driver", "keys/clients/north", "keys/authority.key"):
        assert word in ended.output
    made = json.loads(ended.output.splitlines()[-1])["made"]
    assert "clients/south/client.key" in made
    assert all((Path("keys") / name).is_file() for name in made)


def test_keys_says_what_it_left_alone() -> None:
    arguments = ["federate", "keys", "--folder", "keys", "--clients", "north"]
    assert runner.invoke(app, arguments).exit_code == 0
    ended = runner.invoke(app, arguments)
    assert ended.exit_code == 2
    assert "--replace" in ended.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "neither keys nor files"),
        (["--data", "one/a.csv", "--data", "two/a.csv"], "the same name"),
        (["--keys", "nowhere"], "cannot be read"),
    ],
)
def test_up_without_what_it_needs(arguments: list[str], words: str) -> None:
    ended = runner.invoke(app, ["federate", "up", *arguments])
    assert ended.exit_code == 2, ended.output
    assert words in ended.output


def test_up_with_a_file_that_is_not_there_starts_and_writes_nothing() -> None:
    Path("a.csv").write_text("CustomerID\n1\n")
    ended = runner.invoke(app, ["federate", "up", "--data", "a.csv", "--data", "b.csv"])
    assert ended.exit_code == 4, ended.output
    assert "b.csv: no such file" in ended.output
    assert not Path(".fedchurn").exists()


def test_a_client_with_a_bad_file_ends_before_it_connects() -> None:
    make_keys(Path("keys"), ["north"])
    Path("bad.csv").write_text("CustomerID,Tenure\n1,2\n")
    client = ["federate", "client", "--name", "north", "--link", "127.0.0.1:1"]
    ended = runner.invoke(
        app, [*client, "--data", "bad.csv", "--key", str(client_key(Path("keys"), "north"))]
    )
    assert ended.exit_code in (4, 5), ended.output
    assert "bad" in ended.output
    assert "127.0.0.1:1" not in ended.output


def test_a_client_without_its_key() -> None:
    client = ["federate", "client", "--name", "north", "--link", "127.0.0.1:1"]
    make_keys(Path("keys"), ["north"])
    roots = ["--roots", "keys/link/roots.crt"]
    ended = runner.invoke(app, [*client, *roots, "--data", "bad.csv", "--key", "absent.key"])
    assert ended.exit_code == 2, ended.output
    assert "no private key" in ended.output
