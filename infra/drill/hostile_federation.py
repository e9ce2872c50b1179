"""Federated trainings in which one client is not what it should be.

    python -m infra.drill.hostile_federation HOME CASE ...

Everything is the real thing: the rows of the last training in HOME, its recipe, Flower, the
server's checks. Only what one client sends is changed, where a broken or hostile client would
change it: beside its own rows. A CASE is ``WHAT@QUORUM``; WHAT is ``honest``, ``nan``, ``huge`` (a
million times too large), ``sign`` (its gradient turned round), ``labels`` (all its labels turned
round) or ``gone`` (no training round is answered). The last line is JSON: per case what the server
wrote down, and the ROC-AUC of the model on all clients' test rows.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import TEST, ClientTable, load_client_table
from fedchurn.errors import QuorumError
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import add_sums
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.exchange import ClientHandler, Exchange, Reply, Request
from fedchurn.federation.flower.environment import apply_flower_settings
from fedchurn.federation.training.scoring import evaluate
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.loop.federate import round_policy
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from infra.drill.site import CONTRACT

TRAINING = ("newton", "local_epochs")
HUGE = 1e6


def _not_numbers(reply: Reply) -> Reply:
    return replace(reply, arrays={n: np.full_like(a, np.nan) for n, a in reply.arrays.items()})


def _huge(reply: Reply) -> Reply:
    return replace(reply, arrays={n: a.astype(np.float64) * HUGE for n, a in reply.arrays.items()})


def _turned(reply: Reply) -> Reply:
    name = "newton.gradient" if "newton.gradient" in reply.arrays else "update"
    return replace(reply, arrays={**reply.arrays, name: -np.asarray(reply.arrays[name])})


def _gone(_: Reply) -> Reply:
    raise ConnectionError("switched off")


CHANGES: Mapping[str, Callable[[Reply], Reply]] = {
    "honest": lambda reply: reply,
    "nan": _not_numbers,
    "huge": _huge,
    "sign": _turned,
    "labels": lambda reply: reply,
    "gone": _gone,
}


class Changed:
    """A client whose updates are changed on their way out; its evaluations stay honest."""

    def __init__(self, client: ClientHandler, change: Callable[[Reply], Reply]) -> None:
        self._client = client
        self._change = change

    def handle(self, request: Request) -> Reply:
        reply = self._client.handle(request)
        return self._change(reply) if request.task in TRAINING else reply


def last_clients(home: Path) -> dict[str, Path]:
    """The clients' tables of the newest training, by client."""
    newest = max(home.glob("stages/validate-*/stage.json"), key=lambda path: path.stat().st_mtime)
    files = json.loads(newest.read_text(encoding="utf-8"))["clients"]
    return {client: newest.parent / name for client, name in files.items()}


def _turned_labels(file: Path) -> ClientTable:
    """The client's rows, churners loyal in training and the other way round; test rows are true."""
    table = load_client_table(file)
    turned = np.where(table.split == TEST, table.target, 1 - table.target)
    return replace(table, target=turned.astype(table.target.dtype))


def play(files: Mapping[str, Path], contract: Contract, case: str) -> dict[str, Any]:
    """One training; the last client in order of names is the one that is changed."""
    what, _, quorum = case.partition("@")
    settings = load_settings(None, [f"federation.quorum_fraction={quorum}"])
    culprit = max(files)
    clients: dict[str, ClientHandler] = {
        name: ClientSession(load_client_table(path), contract) for name, path in files.items()
    }
    if what == "labels":
        clients[culprit] = ClientSession(_turned_labels(files[culprit]), contract)
    clients[culprit] = Changed(clients[culprit], CHANGES[what])
    told = {"case": case, "client": culprit}
    try:
        model, roc_auc = _trained(clients, contract, settings)
    except QuorumError as error:
        return {**told, "stopped": str(error)}
    rounds = [record for record in model.records if record.participants]
    return {
        **told,
        "roc_auc": roc_auc,
        "num_rounds": len(rounds),
        "participants": sorted({client for record in rounds for client in record.participants}),
        "quarantined": [dict(record.quarantined) for record in rounds],
        "absences": [dict(record.absences) for record in rounds],
    }


def _trained(
    clients: Mapping[str, ClientHandler], contract: Contract, settings: Settings
) -> tuple[TrainedModel, float]:
    from fedchurn.federation.flower.grid import run_in_process

    policy = round_policy(settings.federation)
    results: list[tuple[TrainedModel, float]] = []

    def drive(exchange: Exchange, _context: object) -> None:
        model = train_federated(
            exchange,
            contract,
            settings.training,
            policy,
            seed=settings.seed,
            min_cell_rows=settings.federation.min_cell_rows,
        )
        encoder = model.encoder.to_json()
        found = evaluate(exchange, policy, model.spec, [model.weights], encoder, "test")
        results.append((model, float(metrics(add_sums(found.sums[0].values())).roc_auc)))

    run_in_process(drive, dict(clients))
    return results[0]


def main(arguments: Sequence[str]) -> int:
    """Play all cases; see the module docstring."""
    home = Path(arguments[0])
    apply_flower_settings(os.environ, home / "flower")
    contract, files = load_contract(CONTRACT), last_clients(home)
    print(json.dumps([play(files, contract, case) for case in arguments[1:]]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
