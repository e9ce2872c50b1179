"""The Ray engine gives the replies and weights of the in-process engine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context
from numpy.typing import NDArray

from fedchurn.data.client_table import ClientTable, load_client_table, save_client_table
from fedchurn.errors import FederationError, SettingsError
from fedchurn.federation.aggregation.strategies import ClientUpdate, aggregate
from fedchurn.federation.exchange import Exchange, Reply, Request
from fedchurn.federation.flower.environment import apply_flower_settings
from fedchurn.federation.flower.grid import run_in_process
from fedchurn.federation.flower.ray_simulation import run_in_ray
from fedchurn.federation.updates import flat, unflat
from fedchurn.learning.keras_epochs import EpochSettings, local_epochs
from fedchurn.learning.keras_model import initial_weights
from fedchurn.learning.spec import HiddenLayer, ModelSpec, Weights

SPEC = ModelSpec(2, hidden=(HiddenLayer(4, 0.25),))
NAMES = [name for name, _ in SPEC.weight_shapes()]


class Session:
    """Trains on the columns of a client's table; a small stand-in for ClientSession."""

    def __init__(self, table: ClientTable, failing: str) -> None:
        self._table = table
        self._failing = failing
        self._num_asked = 0

    def handle(self, request: Request) -> Reply:
        self._num_asked += 1
        if self._table.client == self._failing and request.task == "evaluate":
            raise FederationError("no test rows", where=self._table.client)
        weights = tuple(request.arrays[name] for name in NAMES)
        update = local_epochs(
            SPEC,
            weights,
            np.stack(list(self._table.columns.values()), axis=1).astype(np.float32),
            self._table.target,
            EpochSettings(batch_size=8),
            seed=11,
            round_num=request.round_num,
            client=self._table.client,
        )
        return Reply(
            self._table.client,
            dict(zip(NAMES, update.weights, strict=True)),
            {"num_rows": update.num_rows, "loss": update.loss, "asked": self._num_asked},
        )


def client_table(client: str, num_rows: int) -> ClientTable:
    generator = np.random.default_rng(num_rows)
    columns = {name: generator.normal(size=num_rows) for name in ("tenure", "charges")}
    return ClientTable(
        client=client,
        columns=columns,
        target=(columns["tenure"] > 0).astype(np.int8),
        customer_groups=np.arange(num_rows),
        group_keys=np.arange(num_rows, dtype=np.uint64),
        row_numbers=np.arange(1, num_rows + 1),
        split=np.zeros(num_rows, np.int8),
    )


@pytest.fixture
def client_files(tmp_path: Path) -> dict[str, Path]:
    files = {name: tmp_path / f"{name}.npz" for name in ("north", "east", "south")}
    for number, (name, path) in enumerate(sorted(files.items()), start=1):
        save_client_table(client_table(name, 20 * number + 3), path)
    return files


class Federation:
    """Three rounds of FedAvg, then a question that one client fails."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.weights: Weights = initial_weights(SPEC, 0)

    def drive(self, exchange: Exchange, context: Context) -> None:
        for round_num in (1, 2, 3):
            replies = self._ask(exchange, "local_epochs", round_num)
            before = flat(self.weights)
            updates = [
                ClientUpdate(
                    r.client, flat([r.arrays[n] for n in NAMES]) - before, r.numbers["num_rows"]
                )
                for r in replies
            ]
            self.weights = unflat(SPEC, aggregate("fedavg", before, updates, {}, {})[0])
        self._ask(exchange, "evaluate", 3)

    def _ask(self, exchange: Exchange, task: str, round_num: int) -> Sequence[Reply]:
        arrays = dict(zip(NAMES, self.weights, strict=True))
        replies = exchange.ask(Request(task, round_num, arrays))
        self.replies += replies
        return replies


def digest(arrays: Iterable[NDArray[np.generic]]) -> str:
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return whole.hexdigest()


def record(federation: Federation) -> dict[str, object]:
    """What must be equal on all engines, JSON-ready."""
    return {
        "weights": digest(federation.weights),
        "replies": [
            [reply.client, reply.error, dict(reply.numbers), digest(reply.arrays.values())]
            for reply in federation.replies
        ],
    }


def main(folder: Path) -> None:
    """The Ray half, in a process of its own: Ray outlives what pytest allows."""
    apply_flower_settings(os.environ, folder / "flower")
    files = {path.stem: path for path in folder.glob("*.npz")}
    federation = Federation()
    run_in_ray(federation.drive, files, partial(Session, failing="south"), num_processes=1)
    (folder / "ray.json").write_text(json.dumps(record(federation)))


@pytest.mark.e2e
def test_ray_equals_in_process(client_files: dict[str, Path], tmp_path: Path) -> None:
    here = Federation()
    tables = [load_client_table(path) for path in client_files.values()]
    run_in_process(here.drive, {table.client: Session(table, "south") for table in tables})
    subprocess.run([sys.executable, "-m", __name__, str(tmp_path)], check=True, timeout=300)

    in_ray = json.loads((tmp_path / "ray.json").read_text())
    assert in_ray == record(here)
    assert [reply.client for reply in here.replies[-3:]] == ["east", "north", "south"]
    assert here.replies[-1].error == "south: no test rows"
    asked = [reply.numbers["asked"] for reply in here.replies[6:9]]
    assert asked == [3, 3, 3], "handlers are kept between rounds, in Ray's processes too"


def test_without_ray_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'flwr\[simulation\]'"):
        run_in_ray(lambda exchange, context: None, {"a": Path("a.npz")}, lambda table: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
