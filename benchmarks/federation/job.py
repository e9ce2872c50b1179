"""The job that all sides do: the biggest real file, encoded once and dealt to many clients.

Telco, Dirichlet(0.5) per class, so that clients differ in size and in their share of churn; every
client has a customer to train on. The network, its optimizer and batches are in ``stored``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.drift.populations import FILES
from benchmarks.federation.stored import DROPOUT, SEED, UNITS, Job, load_job, save_job
from fedchurn.contract.load import load_contract
from fedchurn.data.client_table import TEST, TRAIN
from fedchurn.data.simulated_deal import deal_split_table
from fedchurn.encoding.fit import EncoderSettings, fit_encoder
from fedchurn.encoding.statistics import client_statistics
from fedchurn.learning.keras_model import initial_weights
from fedchurn.learning.spec import HiddenLayer, ModelSpec
from fedchurn.loop.client_rows import client_table_from_file
from fedchurn.settings_files import load_settings

CONTRACT = "telco"
ALPHA = 0.5


def make_job(data_dir: Path, num_clients: int) -> Job:
    """Read, split, deal and encode the file; rows of the test part belong to nobody."""
    contract = load_contract(CONTRACT)
    settings = load_settings(None, [f"contract={CONTRACT}"])
    whole = client_table_from_file(data_dir / FILES[CONTRACT], contract, settings).table
    train, test = whole.part(TRAIN), whole.part(TEST)
    encoder = fit_encoder(
        client_statistics(train.columns, train.target, contract),
        contract,
        EncoderSettings(basis="linear", scaling="minmax"),
    )
    clients = deal_split_table(whole, "dirichlet", num_clients=num_clients, seed=SEED, alpha=ALPHA)
    parts = [client.part(TRAIN) for client in clients]
    inputs = [encoder.encode(part.columns) for part in parts]
    return Job(
        inputs=np.concatenate(inputs),
        target=np.concatenate([part.target for part in parts]).astype(np.int8),
        starts=np.cumsum([0, *(part.num_rows for part in parts)]),
        test_inputs=encoder.encode(test.columns),
        test_target=test.target.astype(np.int8),
        first_weights=initial_weights(spec_of(encoder.num_inputs), SEED),
    )


def spec_of(num_inputs: int) -> ModelSpec:
    """The network as our record."""
    hidden = tuple(HiddenLayer(*layer) for layer in zip(UNITS, DROPOUT, strict=True))
    return ModelSpec(num_inputs, linear=False, hidden=hidden)


def stored_job(folder: Path, data_dir: Path, num_clients: int) -> Path:
    """The file of the job, made first if it is not there."""
    path = folder / f"job_{num_clients}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_job(make_job(data_dir, num_clients), path)
    return path


def sizes_in_words(path: Path) -> str:
    """How the clients differ."""
    job = load_job(path)
    rows = np.diff(job.starts)
    quantiles = np.quantile(rows, [0.05, 0.5, 0.95]).astype(int)
    churn = np.add.reduceat(job.target.astype(int), job.starts[:-1])
    return (
        f"{job.num_clients} clients, {len(job.target)} rows of {job.num_inputs} inputs; rows per "
        f"client {rows.min()} to {rows.max()}, 5/50/95 % {'/'.join(map(str, quantiles))}; "
        f"{np.mean((churn == 0) | (churn == rows)):.0%} of them see one class only"
    )
