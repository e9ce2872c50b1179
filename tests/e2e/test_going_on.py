"""What is done is never done again: after a kill, and after a disk that was full."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fedchurn import errors
from tests.e2e.fedchurn_command import COMMAND, TIMEOUT_SECONDS, clean_environment, fedchurn
from tests.e2e.small_disks import small_disk

pytestmark = pytest.mark.e2e
TRAIN = ("train", "--set", "home=home", "--set", "evaluation.baselines=false")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with the home of a training that was killed when its rounds were done."""
    folder = tmp_path_factory.mktemp("killed")
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, *TRAIN],
            cwd=folder,
            env=clean_environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_for_rounds(folder, process)
            process.send_signal(signal.SIGKILL)
            assert process.wait(30) == -signal.SIGKILL, "it was faster than this test"
            yield folder
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _wait_for_rounds(folder: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + TIMEOUT_SECONDS
    while not list((folder / "home" / "stages").glob("federate-*")):
        assert process.poll() is None, (folder / "output.txt").read_text()
        assert time.monotonic() < until, (folder / "output.txt").read_text()
        time.sleep(0.02)


def stages(folder: Path) -> list[str]:
    """Kinds of the stages under home; half-written ones count."""
    return sorted(path.name.split("-")[0] for path in (folder / "home" / "stages").iterdir())


def test_disk_full_while_the_release_is_written(killed: Path) -> None:
    with small_disk(killed / "home" / "releases", "size=16k") as releases:
        ended = fedchurn(killed, *TRAIN, "--json")
        assert ended.code == errors.ReleaseError.exit_code, str(ended)
        assert f"{releases}/ecommerce-1.0.0-" in ended.err
        assert "No space left on device" in ended.err
        assert "\n  next: " in ended.err
        assert "Traceback" not in ended.err + ended.out
        assert ended.last_object["error"] == "ReleaseError"
        assert not [path for path in releases.rglob("*") if path.is_file()], "nothing half-written"
    assert stages(killed) == ["evaluate", "federate", "validate"]


def test_a_killed_run_goes_on_from_its_last_good_stage(killed: Path) -> None:
    (rounds,) = (killed / "home" / "stages").glob("federate-*/rounds.json")
    written = rounds.stat().st_mtime_ns
    again = fedchurn(killed, *TRAIN, "--json")
    assert again.code == 0, str(again)
    # And the evaluation, where the test before could be run.
    assert again.last_object["reused_stages"][:2] == ["validate", "federate"]
    assert again.last_object["outcome"] == "promoted"
    assert rounds.stat().st_mtime_ns == written
    assert stages(killed) == ["evaluate", "federate", "package", "register", "validate"]
