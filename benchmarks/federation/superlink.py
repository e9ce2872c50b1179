"""Five clients on a SuperLink with TLS and node authentication, each a process, on loopback.

20 rounds undisturbed, beside the same files and seed in one process; then 20 rounds during which
one client is killed and another, whose key the link knows, joins.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.federation.report import part_parser, tell
from benchmarks.serving.demands import Demand
from fedchurn.contract.load import load_contract
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.exchange import Exchange
from fedchurn.federation.flower.environment import apply_flower_settings
from fedchurn.federation.flower.grid import run_in_process
from fedchurn.federation.superlink.driver import run_on_superlink
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.learning.recipe import Recipe
from fedchurn.loop.client_rows import client_table_from_file
from fedchurn.quiet import apply_quiet_environment
from fedchurn.settings_files import load_settings
from tests.e2e import federation_hosts
from tests.e2e.fedchurn_command import fedchurn
from tests.e2e.federation_hosts import Hosts, hosts

CLIENTS = ("a", "b", "c", "d", "e")
NEWCOMER = "f"
NUM_ROUNDS = 20
WARM_ROUNDS = 3
KILLED_AFTER, ADDED_AFTER = 5, 10
SETTINGS = load_settings(None, [])
CONTRACT = load_contract(SETTINGS.contract)
POLICY = RoundPolicy(
    quorum_fraction=0.6, deadline_seconds=300.0
)  # TensorFlow is imported in round 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and say by the exit code whether every demand holds (unless quick)."""
    options = part_parser(__doc__).parse_args(arguments)
    apply_quiet_environment(os.environ)
    federation_hosts.PATIENCE_SECONDS = 300  # six processes start at once here
    with tempfile.TemporaryDirectory(prefix="fedchurn-link-") as temporary:
        folder = Path(temporary)
        apply_flower_settings(os.environ, folder / "flower")
        with hosts(folder, (*CLIENTS, NEWCOMER)) as federation:
            _start(federation)
            here = _timed(lambda drive: run_in_process(lambda e, _: drive(e), _sessions(folder)))
            there = _timed(lambda drive: _on_link(federation, drive))
            disturbed = _timed(
                lambda drive: _on_link(federation, drive), lambda n: _disturb(federation, n)
            )
    record = {"inprocess": here, "superlink": there, "disturbed": disturbed}
    told = {name: {k: v for k, v in r.items() if k != "weights"} for name, r in record.items()}
    return tell(_lines(here, there, disturbed), _demands(here, there, disturbed), told, options)


def _recipe() -> Recipe:
    phase = {"strategy": "fedavg", "num_rounds": NUM_ROUNDS, "batch_size": 32}
    encoder = {"basis": "linear", "scaling": "minmax"}
    return Recipe.model_validate({"name": "link", "encoder": encoder, "phases": [phase]})


def _start(federation: Hosts) -> None:
    names = ",".join((*CLIENTS, NEWCOMER))
    made = fedchurn(federation.folder, "federate", "keys", "--folder", "keys", "--clients", names)
    assert made.code == 0, str(made)
    federation.start_link()
    for name in CLIENTS:
        federation.start_client(name)
    for name in CLIENTS:
        federation.await_words(name, "connected to")


def _sessions(folder: Path) -> dict[str, ClientSession]:
    return {
        name: ClientSession(
            client_table_from_file(folder / f"{name}.csv", CONTRACT, SETTINGS, client=name).table,
            CONTRACT,
        )
        for name in CLIENTS
    }


def _on_link(federation: Hosts, drive: Callable[[Exchange], None]) -> None:
    settings = federation.superlink.model_copy(update={"num_clients": len(CLIENTS)})
    run_on_superlink(settings, drive, quorum_fraction=POLICY.quorum_fraction)


def _disturb(federation: Hosts, round_num: int) -> None:
    if round_num == KILLED_AFTER:
        federation.kill("b")
    if round_num == ADDED_AFTER:
        federation.start_client(NEWCOMER)
        federation.await_words(NEWCOMER, "connected to")


def _timed(
    run: Callable[[Callable[[Exchange], None]], object],
    after_round: Callable[[int], None] = lambda _round_num: None,
) -> dict[str, Any]:
    """Weights, seconds per round (training, combination, evaluation), and who took part."""
    ticks: list[tuple[float, float]] = []
    trained: list[TrainedModel] = []

    def note(round_num: int) -> None:
        ended = time.perf_counter()
        after_round(round_num)  # its seconds are nobody's
        ticks.append((ended, time.perf_counter()))

    def drive(exchange: Exchange) -> None:
        trained.append(
            train_federated(
                exchange,
                CONTRACT,
                _recipe(),
                POLICY,
                seed=SETTINGS.seed,
                on_progress=lambda record, _total: note(record.round_num),
            )
        )

    run(drive)
    records = trained[0].records
    return {
        "weights": [array.tobytes() for array in trained[0].weights],
        "rounds": [end - begun for (_, begun), (end, _) in pairwise(ticks)],
        "participants": [list(record.participants) for record in records[1:]],
        "bytes_up": records[-1].bytes_up,
        "bytes_down": records[-1].bytes_down,
        "log_loss": records[-1].validation["log_loss"],
    }


def _steady(found: dict[str, Any]) -> float:
    return statistics.median(found["rounds"][WARM_ROUNDS:])


def _lines(here: dict[str, Any], there: dict[str, Any], disturbed: dict[str, Any]) -> list[str]:
    lines = []
    for title, found in (("inprocess", here), ("superlink", there), ("disturbed", disturbed)):
        lines.append(
            f"{title:10} {len(found['rounds'])} rounds, steady {_steady(found):.3f} s, slowest "
            f"{max(found['rounds'][1:]):.2f} s, log loss {found['log_loss']:.4f}"
        )
    lines.append(f"overhead per round {_steady(there) - _steady(here):.3f} s")
    lines.append(f"bytes per round up {there['bytes_up']}, down {there['bytes_down']}")
    before = None
    for number, names in enumerate(disturbed["participants"], start=1):
        if names != before:
            lines.append(f"from round {number}: {' '.join(names)}")
        before = names
    return lines


def _demands(
    here: dict[str, Any], there: dict[str, Any], disturbed: dict[str, Any]
) -> list[Demand]:
    equal = float(here["weights"] == there["weights"])
    took_part = disturbed["participants"]
    return [
        Demand("weights byte-equal to one process (1: yes)", equal, at_least=1),
        Demand("rounds finished with one killed and one added", len(took_part), at_least=20),
        Demand("rounds without the killed client", _without(took_part, "b"), at_least=1),
        Demand("rounds with the added client", _with(took_part, NEWCOMER), at_least=1),
    ]


def _with(rounds: list[list[str]], name: str) -> int:
    return sum(name in names for names in rounds)


def _without(rounds: list[list[str]], name: str) -> int:
    return len(rounds) - _with(rounds, name)


if __name__ == "__main__":
    sys.exit(main())
