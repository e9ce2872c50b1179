"""One run at a time per contract, over processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedchurn.contract.load import find_contract
from fedchurn.errors import BusyError, ContractError, ReleaseError
from fedchurn.loop.one_run import one_run
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from tests.conftest import PROJECT

OTHER = """
import sys
from fedchurn.loop.one_run import one_run
from fedchurn.settings_files import load_settings

with one_run(load_settings(None, sys.argv[1:])):
    print("holding", flush=True)
    sys.stdin.read()
"""


def settings(home: Path, contract: str = "ecommerce") -> Settings:
    return load_settings(None, [f"home={home}", f"contract={contract}"])


@contextmanager
def another_process(home: Path, contract: str = "ecommerce") -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, f"home={home}", f"contract={contract}"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "holding\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_second_process_is_told_at_once(tmp_path: Path) -> None:
    with another_process(tmp_path):
        with pytest.raises(BusyError) as caught, one_run(settings(tmp_path)):
            pass
        assert "contract 'ecommerce' is under way" in caught.value.what
        assert caught.value.where == str(tmp_path / "locks" / "train-ecommerce.lock")
        assert "--set home=" in caught.value.next_step
        with one_run(settings(tmp_path, "telco")), one_run(settings(tmp_path / "other")):
            pass  # another contract, another home


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with another_process(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with one_run(settings(tmp_path)):
            pass


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), one_run(settings(tmp_path)):
        raise ZeroDivisionError
    with one_run(settings(tmp_path)):
        pass


def test_a_contract_is_one_contract_by_name_and_by_path(tmp_path: Path) -> None:
    path = str(find_contract("ecommerce"))
    with one_run(settings(tmp_path)), pytest.raises(BusyError), one_run(settings(tmp_path, path)):
        pass


def test_a_contract_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="did you mean"), one_run(settings(tmp_path, "telko")):
        pass


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ReleaseError) as caught, one_run(settings(tmp_path / "taken")):
        pass
    assert caught.value.where == f"{tmp_path}/taken/locks"
