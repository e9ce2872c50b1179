"""The driver that ``kill`` kills: a training in two phases with checkpoints in a folder.

``python -m benchmarks.federation.kill_driver FOLDER``: says "begun" when imports and reading are
done, and ends by writing ``weights.sha256``.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from fedchurn.contract.load import load_contract
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.training.checkpoint_folder import CheckpointFolder
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.learning.recipe import Recipe
from fedchurn.loop.client_rows import client_table_from_file
from fedchurn.settings_files import load_settings

SAMPLE = Path(__file__).resolve().parents[2] / "configs" / "samples" / "ecommerce.csv"
NUM_CLIENTS = 3
RECIPE = Recipe.model_validate(
    {
        "name": "killed",
        "phases": [
            {"strategy": "newton", "num_rounds": 8, "patience_rounds": None},
            {
                "strategy": "fedadam",  # has memory on the server
                "num_rounds": 20,
                "clients_per_round": 2,  # and draws
                "linear": True,
                "frozen_linear": True,
                "batch_size": 32,
            },
        ],
    }
)


def main() -> None:
    """Train from wherever the folder's checkpoints got to."""
    folder = Path(sys.argv[1])
    contract = load_contract("ecommerce")
    settings = load_settings(None, [])
    table = client_table_from_file(SAMPLE, contract, settings).table
    owners = table.customer_groups % NUM_CLIENTS
    exchange = DirectExchange(
        {
            f"client_{number}": ClientSession(
                replace(table.take(owners == number), client=f"client_{number}"), contract
            )
            for number in range(NUM_CLIENTS)
        }
    )
    print("begun", flush=True)
    trained = train_federated(
        exchange,
        contract,
        RECIPE,
        RoundPolicy(),
        seed=settings.seed,
        checkpoints=CheckpointFolder(folder / "checkpoints"),
    )
    (folder / "weights.sha256").write_text(_digest(trained))


def _digest(trained: TrainedModel) -> str:
    """Of the final weights, of those that thresholds are chosen with, and of what rounds told."""
    digest = hashlib.sha256()
    for array in (*trained.weights, *trained.selection_weights):
        digest.update(np.ascontiguousarray(array).tobytes())
    for record in trained.records:
        digest.update(repr(sorted({**record.to_dict(), "seconds": None}.items())).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
