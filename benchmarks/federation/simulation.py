"""What a round of simulated clients costs, by phase, and the memory that it takes.

Real rows (telco, repeated for the large population: only their number matters here), dealt by
Dirichlet(0.5), kept in a bundle and read when they are needed; network 64-.3-32-.2-1, Adam .01,
batch 32, one local epoch, FedAvg, with the driver's checks and evaluation. Each population in a
process of its own. Run it with ``python -m benchmarks.federation.simulation``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.drift.populations import FILES
from benchmarks.processes import run_measured
from fedchurn.contract.load import load_contract
from fedchurn.data.client_bundle import SUFFIX, load_client, save_client_bundle
from fedchurn.data.client_table import TRAIN, ClientTable
from fedchurn.data.simulated_deal import deal_split_table
from fedchurn.encoding.encoder import Encoder
from fedchurn.encoding.fit import EncoderSettings, fit_encoder
from fedchurn.encoding.statistics import client_statistics
from fedchurn.federation.algorithms.local_training import LocalTraining
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.simulation.exchange import SimulationExchange
from fedchurn.federation.simulation.rows import SimulatedRows
from fedchurn.federation.simulation.tasks import bulk_tasks
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.rounds import play_rounds
from fedchurn.federation.training.state import RoundRecord, RoundState
from fedchurn.federation.training.stop_rule import StopRule
from fedchurn.learning.keras_model import initial_weights
from fedchurn.learning.spec import HiddenLayer, ModelSpec
from fedchurn.loop.client_rows import client_table_from_file
from fedchurn.quiet import apply_quiet_environment
from fedchurn.settings_files import load_settings

CONTRACT = load_contract("telco")
SEED = 2026
NUM_ROUNDS = 20
WARM_ROUNDS = 3  # the first one compiles

# name -> clients, clients per round (0: all), how often the rows are repeated
POPULATIONS: dict[str, tuple[int, int, int]] = {
    "100 clients, all train": (100, 0, 1),
    "1 000 clients, all train": (1_000, 0, 1),
    "1 000 clients, 100 train": (1_000, 100, 4),
    "10 000 clients, 100 train": (10_000, 100, 4),
}


def measure(
    data_dir: Path, names: Sequence[str] = tuple(POPULATIONS)
) -> dict[str, dict[str, float]]:
    """Seconds per steady round by phase (medians), seconds of 100 rounds, and peak MiB.

    ``processor`` is what a steady round takes of the processors: fairer on a busy machine.
    """
    return {name: _measured(name, data_dir) for name in names}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the real files")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--play", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.play:
        options.into.write_text(json.dumps(_play(options.play, options.data)), encoding="utf-8")
        return
    results = measure(options.data)
    print(json.dumps(results) if options.json else table(results))


def table(results: Mapping[str, Mapping[str, float]]) -> str:
    """The results as text."""
    shown = (
        "train",
        "combine",
        "evaluate",
        "round",
        "processor",
        "first_round",
        "total_100",
        "peak_mib",
    )
    lines = [f"{'':28}" + "".join(f"{name:>13}" for name in shown)]
    for name, result in results.items():
        lines.append(f"{name:28}" + "".join(f"{result[one]:13.4g}" for one in shown))
    return "\n".join(lines)


def _measured(name: str, data_dir: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "result.json"
        environ = dict(os.environ)
        apply_quiet_environment(environ)
        environ.update(TF_CPP_MIN_LOG_LEVEL="3", TMPDIR=folder)
        command = [sys.executable, "-m", "benchmarks.federation.simulation", "--play", name]
        command += ["--data", str(data_dir), "--into", str(into)]
        run_measured(command, environ)
        result: dict[str, float] = json.loads(into.read_text(encoding="utf-8"))
    return result


def _play(name: str, data_dir: Path) -> dict[str, float]:
    num_clients, cohort, repeats = POPULATIONS[name]
    whole = _repeated(_split_table(data_dir), repeats)
    encoder = _encoder(whole)
    dealt = deal_split_table(whole, "dirichlet", num_clients=num_clients, seed=SEED)
    paths = save_client_bundle(dealt, Path(tempfile.mkdtemp()) / f"clients{SUFFIX}")
    del whole, dealt
    exchange = SimulationExchange(
        tuple(paths),
        lambda client: ClientSession(load_client(paths[client]), CONTRACT),
        bulk=bulk_tasks(SimulatedRows(lambda client: load_client(paths[client]))),
    )
    records: list[RoundRecord] = []
    ticks, spent = [time.perf_counter()], [time.process_time()]

    def keep(record: RoundRecord, _state: RoundState) -> None:
        records.append(record)
        ticks.append(time.perf_counter())
        spent.append(time.process_time())

    policy = RoundPolicy(max_norm_ratio=1e6)
    play_rounds(_algorithm(encoder, cohort), exchange, policy, StopRule(NUM_ROUNDS), keep)
    processor = statistics.median(np.diff(spent)[1 + WARM_ROUNDS :].tolist())
    return {**_result(records, ticks), "processor": processor}


def _result(records: Sequence[RoundRecord], ticks: Sequence[float]) -> dict[str, float]:
    steady = records[1 + WARM_ROUNDS :]
    rounds = np.diff(ticks)
    result = {
        phase: statistics.median(record.seconds[phase] for record in steady)
        for phase in ("train", "combine", "evaluate")
    }
    median = statistics.median(rounds[1 + WARM_ROUNDS :].tolist())
    return {
        **result,
        "round": median,
        "first_round": float(rounds[0] + rounds[1]),
        "total_100": float(rounds[0] + rounds[1]) + 99 * median,
        "roc_auc": records[-1].validation["roc_auc"],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _split_table(data_dir: Path) -> ClientTable:
    settings = load_settings(None, [f"contract={CONTRACT.contract}"])
    path = data_dir / FILES[CONTRACT.contract]
    return client_table_from_file(path, CONTRACT, settings).table


def _repeated(one: ClientTable, repeats: int) -> ClientTable:
    """So many times the rows, each time of new customers."""
    copies = [
        replace(
            one,
            customer_groups=one.customer_groups + number * (int(one.customer_groups.max()) + 1),
            group_keys=one.group_keys ^ np.uint64(number << 32),
        )
        for number in range(repeats)
    ]
    names = ("target", "customer_groups", "group_keys", "row_numbers", "split")
    return replace(
        one,
        columns={n: np.concatenate([c.columns[n] for c in copies]) for n in one.columns},
        **{name: np.concatenate([getattr(c, name) for c in copies]) for name in names},
    )


def _encoder(whole: ClientTable) -> Encoder:
    train = whole.part(TRAIN)
    known = client_statistics(train.columns, train.target, CONTRACT)
    return fit_encoder(known, CONTRACT, EncoderSettings(basis="linear", scaling="minmax"))


def _algorithm(encoder: Encoder, cohort: int) -> LocalTraining:
    hidden = (HiddenLayer(64, 0.3), HiddenLayer(32, 0.2))
    spec = ModelSpec(encoder.num_inputs, linear=False, hidden=hidden)
    return LocalTraining(
        strategy="fedavg",
        spec=spec,
        encoder_json=encoder.to_json(),
        first_weights=initial_weights(spec, SEED),
        epochs={"batch_size": 32, "learning_rate": 0.01},
        hyper={"server_learning_rate": 1.0},
        seed=SEED,
        clients_per_round=cohort or None,
        evaluation_clients=cohort or None,
    )


if __name__ == "__main__":
    main()
