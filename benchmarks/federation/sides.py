"""Runs one side in a process of its own and reads what it noted."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.drift.environments import PROJECT, PeerMissingError
from benchmarks.federation.environments import peer_python
from benchmarks.federation.stored import load_job
from benchmarks.processes import tree_mib
from fedchurn.evaluation.metrics import roc_auc
from fedchurn.evaluation.sums import score_sums
from fedchurn.learning.spec import predict_probability
from fedchurn.quiet import apply_quiet_environment

WARM_ROUNDS = 2  # compilation falls into the first round, stragglers into the next
TOTAL_ROUNDS = 100
GRACE_SECONDS = 1800.0  # for a side to start and to end its last round; some hang when they fail


@dataclass(frozen=True)
class Side:
    """How a side is run.

    Attributes:
        title: in tables.
        module: in this package.
        peer: its environment; "" is ours.
        num_rounds: rounds at most.
        limit_seconds: no round begins later than so long after the first one.
        cohort: clients per round; 0 is all.
        repeats: runs, interleaved with the other sides'; the best is taken.
    """

    title: str
    module: str
    peer: str = ""
    variant: str = ""
    num_rounds: int = TOTAL_ROUNDS
    limit_seconds: float = 600.0
    cohort: int = 0
    repeats: int = 1


@dataclass(frozen=True)
class Run:
    """What one run of a side gave.

    Attributes:
        num_clients: clients of the job.
        cohort: clients per round.
        start_seconds: from the start of the process to round 1: imports, reading, building.
        peak_mib: of the process tree; shared pages once.
        rounds: wall seconds per round.
        processor: processor seconds per round, all processes of the tree.
        auc: ROC-AUC on the held-out rows by round.
        training: wall seconds per round inside local training, if the side tells them.
        training_processor: the same in processor seconds.
    """

    package: str
    num_clients: int
    cohort: int
    start_seconds: float
    peak_mib: float
    rounds: list[float]
    processor: list[float]
    auc: dict[int, float]
    training: list[float] = field(default_factory=list)
    training_processor: list[float] = field(default_factory=list)

    @property
    def steady_seconds(self) -> float:
        """Median round of this cohort, after the warm-up."""
        return statistics.median(self.rounds[WARM_ROUNDS:])

    @property
    def client_milliseconds(self) -> float:
        """Wall milliseconds per client and round, steady."""
        return 1000 * self.steady_seconds / self.cohort

    @property
    def processor_milliseconds(self) -> float:
        """Processor milliseconds per client and round, steady."""
        return 1000 * statistics.median(self.processor[WARM_ROUNDS:]) / self.cohort

    @property
    def round_seconds(self) -> float:
        """A steady round of all clients; reckoned from the cohort where that is smaller."""
        return self.steady_seconds * self.num_clients / self.cohort

    @property
    def is_reckoned(self) -> bool:
        """Whether the total is not measured in full."""
        return len(self.rounds) < TOTAL_ROUNDS or self.cohort < self.num_clients

    @property
    def total_seconds(self) -> float:
        """Start and 100 rounds of all clients."""
        if self.cohort < self.num_clients:
            return self.start_seconds + TOTAL_ROUNDS * self.round_seconds
        rest = TOTAL_ROUNDS - len(self.rounds)
        return self.start_seconds + sum(self.rounds) + rest * self.round_seconds

    @property
    def message_share(self) -> float:
        """Wall seconds of a steady round outside training, as a share of those inside."""
        return _outside(self.rounds, self.training)

    @property
    def message_processor_share(self) -> float:
        """The same of processor seconds, which other jobs on the machine move less."""
        return _outside(self.processor, self.training_processor)


def _outside(totals: Sequence[float], insides: Sequence[float]) -> float:
    pairs = zip(totals[WARM_ROUNDS:], insides[WARM_ROUNDS:], strict=True)
    return statistics.median((total - inside) / inside for total, inside in pairs)


def run_side(side: Side, job: Path, folder: Path, peers: Path) -> Run:
    """Run it to its end.

    Raises:
        PeerMissingError: it cannot be installed, or does not run here.
    """
    python = str(peer_python(side.peer, peers)) if side.peer else sys.executable
    into = folder / f"{side.module}{side.variant}.json"
    into.unlink(missing_ok=True)
    num_clients = load_job(job).num_clients
    cohort = min(side.cohort or num_clients, num_clients)
    module = f"benchmarks.federation.{side.module}"
    command = [python, "-m", module, str(job), str(into)]
    command += ["--rounds", str(side.num_rounds), "--seconds", str(side.limit_seconds)]
    environ = _environ(job, side.variant, cohort, folder)
    peak = _run(command, environ, side.title, GRACE_SECONDS + 3 * side.limit_seconds)
    found: dict[str, Any] = json.loads(into.read_text())
    return Run(
        package=found["package"],
        num_clients=num_clients,
        cohort=cohort,
        start_seconds=found["start_seconds"],
        peak_mib=peak,
        rounds=found["round_seconds"],
        processor=found["processor_seconds"],
        auc=_auc(job, into.with_suffix(".npz")),
        training=found.get("training_seconds", []),
        training_processor=found.get("training_processor_seconds", []),
    )


def _environ(job: Path, variant: str, cohort: int, folder: Path) -> dict[str, str]:
    environ = dict(os.environ)
    apply_quiet_environment(environ)
    environ.update(
        PYTHONPATH=str(PROJECT),  # for the stored job, which needs numpy alone
        BENCH_JOB=str(job),
        BENCH_VARIANT=variant,
        BENCH_COHORT=str(cohort),
        BENCH_BEGUN=str(time.time()),
        RAY_raylet_start_wait_time_s="300",
        FLWR_HOME=str(folder / "flower"),
        FLWR_LOG_LEVEL="ERROR",
        TF_CPP_MIN_LOG_LEVEL="3",
    )
    return environ


def _run(command: list[str], environ: dict[str, str], title: str, seconds: float) -> float:
    """Peak MiB of the tree; what the command leaves behind ends with it."""
    until = time.monotonic() + seconds
    log = Path(environ["FLWR_HOME"]).with_suffix(".log")
    peak = 0.0
    left: dict[int, psutil.Process] = {}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environ, cwd=PROJECT, stdout=output, stderr=output, start_new_session=True
        )
        root = psutil.Process(process.pid)
        try:
            while process.poll() is None and time.monotonic() < until:
                peak = max(peak, tree_mib(root))
                with suppress(psutil.NoSuchProcess):
                    left.update({child.pid: child for child in root.children(recursive=True)})
                time.sleep(0.5)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for child in left.values():
                with suppress(psutil.NoSuchProcess):
                    child.kill()  # psutil knows a number that went to another process
            process.wait()
    if process.returncode:
        told = log.read_text("utf-8", "replace").strip()[-600:]
        raise PeerMissingError(f"{title} does not run: {told}")
    return peak


def _auc(job_path: Path, weights_path: Path) -> dict[int, float]:
    from benchmarks.federation.job import spec_of

    job = load_job(job_path)
    found: dict[int, float] = {}
    with np.load(weights_path) as stored:
        for round_num in sorted({int(name.split("_")[0]) for name in stored.files}):
            num_arrays = len(job.first_weights)
            weights = [stored[f"{round_num}_{number}"] for number in range(num_arrays)]
            chance = predict_probability(spec_of(job.num_inputs), weights, job.test_inputs)
            found[round_num] = roc_auc(score_sums(job.test_target, chance))
    return found
