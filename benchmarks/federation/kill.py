"""kill -9 of the driver at random instants; resumed, the final weights must be byte-equal.

Instants are drawn by a seed: two thirds at any time between the begin and the end of an undisturbed
run, one in each of equal stretches; the others while a checkpoint, drawn among all, is being
written. Digests are of the final weights and of all records but their seconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.federation.report import part_parser, tell
from benchmarks.federation.stored import SEED
from benchmarks.serving.demands import Demand
from fedchurn.quiet import apply_quiet_environment

DRIVER = "benchmarks.federation.kill_driver"
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it.

    Attributes:
        when: in words.
        num_checkpoints: number of the newest whole checkpoint that the killed run left; 0 is none.
        half_written: whether a temporary file was left.
        equal: whether the resumed run ended byte-equal.
    """

    when: str
    num_checkpoints: int
    half_written: bool
    equal: bool


class Driver:
    """A driver on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        environ = dict(os.environ)
        apply_quiet_environment(environ)
        environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        with (folder / "driver.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", DRIVER, str(folder)],
                env=environ,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said == b"begun\n", (folder / "driver.log").read_text()
        self.begun = time.perf_counter()

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> bool:
        """SIGKILL; whether it still ran."""
        self._process.kill()
        return self._end() == -signal.SIGKILL

    def finish(self) -> str:
        """Its digest."""
        code = self._end()
        assert code == 0, (self.folder / "driver.log").read_text()
        return (self.folder / "weights.sha256").read_text()

    def _end(self) -> int:
        code = self._process.wait(PATIENCE_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def whole(self) -> list[int]:
        """Numbers of the checkpoints that are there."""
        found = (self.folder / "checkpoints").glob("*.npz")
        return sorted(int(path.name.partition("-")[0]) for path in found)

    def half_written(self) -> list[int]:
        """Numbers of the checkpoints that are being written."""
        found = (self.folder / "checkpoints").glob("*.tmp")
        return sorted(int(path.name.partition("-")[0]) for path in found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, resume, compare."""
    parser = part_parser(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    num_kills = 3 if options.quick else options.kills
    with tempfile.TemporaryDirectory(prefix="fedchurn-kill-") as temporary:
        folder = Path(temporary)
        undisturbed = Driver(folder / "undisturbed")
        expected = undisturbed.finish()
        seconds = time.perf_counter() - undisturbed.begun
        num_checkpoints = undisturbed.whole()[-1]
        kills = []
        for number, when in enumerate(_plan(num_kills, options.seed, seconds, num_checkpoints)):
            kills.append(_killed(folder / str(number), when, expected))
            print(_line(kills[-1]), file=sys.stderr, flush=True)
    lines = [
        f"undisturbed: {seconds:.1f} s, {num_checkpoints} checkpoints",
        f"killed while a checkpoint was half written: {sum(k.half_written for k in kills)}",
        *map(_line, kills),
    ]
    num_equal = sum(kill.equal for kill in kills)
    demands = [Demand(f"byte-equal of {len(kills)}", num_equal, at_least=len(kills))]
    return tell(lines, demands, [asdict(kill) for kill in kills], options)


When = tuple[str, Callable[[Driver], bool]]
"""An instant in words, and whether it has come."""


def _plan(num_kills: int, seed: int, seconds: float, num_checkpoints: int) -> list[When]:
    generator = np.random.default_rng(seed)
    num_writes = num_kills // 3
    num_times = num_kills - num_writes
    times = (np.arange(num_times) + generator.random(num_times)) / num_times * seconds
    writes = 1 + generator.permutation(num_checkpoints)[:num_writes]
    return [*map(_at, times.tolist()), *map(_while_writing, writes.tolist())]


def _at(seconds: float) -> When:
    return f"after {seconds:.2f} s", lambda d: time.perf_counter() - d.begun >= seconds


def _while_writing(number: int) -> When:
    def has_come(driver: Driver) -> bool:
        # A write that was too quick to be seen is followed by the next one.
        return any(begun >= number for begun in driver.half_written())

    return f"while checkpoint {number} is written", has_come


def _killed(folder: Path, when: When, expected: str) -> Kill:
    words, has_come = when
    while True:
        folder.mkdir()
        driver = Driver(folder)
        while driver.is_running() and not has_come(driver):
            time.sleep(0)  # a checkpoint is written in a few milliseconds
        if driver.kill():
            break
        # It was quicker than the undisturbed one: from the start again, a little earlier.
        folder = folder.with_name(f"{folder.name}-")
        words, has_come = _at(0.9 * _seconds_of(words)) if "after" in words else when
    left, half = driver.whole(), driver.half_written()
    return Kill(words, left[-1] if left else 0, bool(half), Driver(folder).finish() == expected)


def _seconds_of(words: str) -> float:
    return float(words.split()[1])


def _line(kill: Kill) -> str:
    left = f"checkpoint {kill.num_checkpoints}" if kill.num_checkpoints else "nothing"
    half = " and a half" if kill.half_written else ""
    return f"{'equal  ' if kill.equal else 'DIFFERS'} {kill.when}, leaving {left}{half}"


if __name__ == "__main__":
    sys.exit(main())
