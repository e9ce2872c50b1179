"""kill -9 of the driver at random instants; resumed, the final weights must be byte-equal.

Instants are drawn by a seed: two thirds on the way from one checkpoint to the next, the pairs
spread evenly over the run; the others while a checkpoint, drawn among all, is being written. They
hang on progress, not on the clock: on a machine that got quicker, clocks would let most kills fall
behind the last round. A kill that found the training over does not count and is tried again.
Digests are of the final weights and of all records but their seconds.
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
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.federation.report import part_parser, tell
from benchmarks.federation.stored import SEED
from benchmarks.serving.demands import Demand
from fedchurn.quiet import apply_quiet_environment

DRIVER = "benchmarks.federation.kill_driver"
PATIENCE_SECONDS = 600
MOST_ATTEMPTS = 5


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

    def has_trained(self) -> bool:
        """Whether it got to its final weights."""
        return (self.folder / "weights.sha256").exists()

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
        gaps = _gaps(undisturbed)
        expected = undisturbed.finish()
        num_checkpoints = len(gaps)
        kills = []
        for number, when in enumerate(_plan(num_kills, options.seed, gaps)):
            kills.append(_killed(folder / str(number), when, expected))
            print(_line(kills[-1]), file=sys.stderr, flush=True)
    lines = [
        f"undisturbed: {sum(gaps):.1f} s to the last of {num_checkpoints} checkpoints",
        f"killed while a checkpoint was half written: {sum(k.half_written for k in kills)}",
        *map(_line, kills),
    ]
    num_equal = sum(kill.equal for kill in kills)
    demands = [Demand(f"byte-equal of {len(kills)}", num_equal, at_least=len(kills))]
    return tell(lines, demands, [asdict(kill) for kill in kills], options)


When = tuple[str, Callable[[Driver], bool]]
"""An instant in words, and whether it has come."""


def _gaps(driver: Driver) -> list[float]:
    """Seconds from the begin, or one checkpoint, to the next one."""
    ticks = [driver.begun]
    while driver.is_running():
        newest = max(driver.whole(), default=0)
        ticks += [time.perf_counter()] * (newest - len(ticks) + 1)
        time.sleep(0.002)
    return [after - before for before, after in pairwise(ticks)]


def _plan(num_kills: int, seed: int, gaps: Sequence[float]) -> list[When]:
    generator = np.random.default_rng(seed)
    num_writes = num_kills // 3
    num_between = num_kills - num_writes
    places = (np.arange(num_between) + generator.random(num_between)) / num_between * len(gaps)
    writes = 1 + generator.permutation(len(gaps))[:num_writes]
    between = [_between(place, gaps[int(place)]) for place in places.tolist()]
    return [*between, *map(_while_writing, writes.tolist())]


def _between(place: float, gap_seconds: float) -> When:
    """``place`` 3.25: after checkpoint 3 and a quarter of the seconds to the next."""
    number = int(place)
    wait_seconds = (place - number) * gap_seconds
    seen: dict[Driver, float] = {}

    def has_come(driver: Driver) -> bool:
        if driver not in seen:
            if number and max(driver.whole(), default=0) < number:
                return False
            seen[driver] = time.perf_counter() if number else driver.begun
        return time.perf_counter() - seen[driver] >= wait_seconds

    return f"{1000 * wait_seconds:.0f} ms after checkpoint {number}", has_come


def _while_writing(number: int) -> When:
    def has_come(driver: Driver) -> bool:
        # A write that was too quick to be seen is followed by the next one.
        return any(begun >= number for begun in driver.half_written())

    return f"while checkpoint {number} is written", has_come


def _killed(folder: Path, when: When, expected: str) -> Kill:
    words, has_come = when
    for attempt in range(MOST_ATTEMPTS):
        driver = Driver(folder.with_name(f"{folder.name}-{attempt}"))
        while driver.is_running() and not has_come(driver):
            time.sleep(0)  # a checkpoint is written in a few milliseconds
        if driver.kill() and not driver.has_trained():
            left, half = driver.whole(), driver.half_written()
            equal = Driver(driver.folder).finish() == expected
            return Kill(words, max(left, default=0), bool(half), equal)
    raise AssertionError(f"{words}: the training was over {MOST_ATTEMPTS} times")


def _line(kill: Kill) -> str:
    left = f"checkpoint {kill.num_checkpoints}" if kill.num_checkpoints else "nothing"
    half = " and a half" if kill.half_written else ""
    return f"{'equal  ' if kill.equal else 'DIFFERS'} {kill.when}, leaving {left}{half}"


if __name__ == "__main__":
    sys.exit(main())
