"""Local epochs equal Keras's own fit, and depend on nothing but their arguments."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from fedchurn.errors import FederationError, SettingsError
from fedchurn.learning.keras_epochs import (
    EpochSettings,
    LocalUpdate,
    epoch_generator,
    local_epochs,
)
from fedchurn.learning.keras_model import build_keras, keras_weights
from fedchurn.learning.keras_step import CHUNK_BATCHES, Chunk, Training
from fedchurn.learning.spec import HiddenLayer, ModelSpec, predict_probability
from tests.unit.learning.small import (
    ADDITIVE,
    NETWORK,
    RESIDUAL,
    SPECS,
    random_weights,
    rows_of,
    without_dropout,
)

Arrays = tuple[NDArray[np.float32], ...]


def train(spec: ModelSpec, num_rows: int = 50, seed: int = 5, **settings: object) -> LocalUpdate:
    inputs, target = rows_of(num_rows)
    chosen = EpochSettings(**{"batch_size": 8, **settings})  # type: ignore[arg-type]
    return local_epochs(
        spec, random_weights(spec), inputs, target, chosen, seed=seed, round_num=2, client="acme"
    )


def keras_fit(spec: ModelSpec, num_rows: int, epochs: int, optimizer: object) -> Arrays:
    import keras

    inputs, target = rows_of(num_rows)
    model = build_keras(spec, random_weights(spec))
    model.compile(optimizer, keras.losses.BinaryCrossentropy())
    for epoch in range(epochs):
        order = epoch_generator(5, 2, "acme", epoch).permutation(num_rows)
        model.fit(inputs[order], target[order], batch_size=8, shuffle=False, verbose=0)
    return keras_weights(model, spec)


def assert_close(ours: Arrays, theirs: Arrays, tolerance: float = 1e-5) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=tolerance)


def digest(update: LocalUpdate) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in update.weights)).hexdigest()


@SPECS
def test_an_epoch_of_adam_equals_keras_fit(spec: ModelSpec) -> None:
    import keras

    plain = without_dropout(spec)
    ours = train(plain, num_rows=50)
    assert_close(ours.weights, keras_fit(plain, 50, 1, keras.optimizers.Adam(0.01)))


def test_two_epochs_of_sgd_equal_keras_fit() -> None:
    import keras

    plain = without_dropout(NETWORK)
    ours = train(plain, epochs=2, optimizer="sgd", learning_rate=0.1)
    assert_close(ours.weights, keras_fit(plain, 50, 2, keras.optimizers.SGD(0.1)))


def test_one_batch_of_sgd_by_hand() -> None:
    spec = ModelSpec(1)
    start = (np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
    inputs, target = np.array([[2.0], [4.0]], np.float32), np.array([1, 0], np.int8)
    settings = EpochSettings(batch_size=8, optimizer="sgd", learning_rate=1.0)
    update = local_epochs(spec, start, inputs, target, settings, seed=0, round_num=1, client="acme")
    # p = 0.5 on both rows: kernel gradient (-0.5 * 2 + 0.5 * 4) / 2, bias gradient 0
    assert update.weights[0][0, 0] == pytest.approx(-0.5)
    assert update.weights[1][0] == pytest.approx(0.0)
    assert update.loss == pytest.approx(np.log(2))
    assert update.accuracy == 0.5  # logit 0 is read as stays
    assert update.num_rows == 2


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_padding_changes_nothing(optimizer: str) -> None:
    """The same rows, with whole batches of nonsense behind the real ones."""
    inputs, target = rows_of(20)
    chunk = Chunk.of(RESIDUAL, inputs, target, 8, np.random.default_rng(0))
    assert chunk.num_batches == 3
    dirty = {name: getattr(chunk, name).copy() for name in ("inputs", "target", "row_weights")}
    dirty["inputs"][3:] = 99.0
    dirty["row_weights"][3:] = 1.0
    dirty["inputs"][2, 4:] = -7.0  # padding inside the last batch
    dirty["target"][2, 4:] = 1.0
    results = []
    for given in (chunk, dataclasses.replace(chunk, **dirty)):
        training = Training.start(
            RESIDUAL,
            random_weights(RESIDUAL),
            optimizer=optimizer,
            learning_rate=0.05,
            proximal=0.1,
            freeze_linear=False,
        )
        training.run(given)
        results.append((training.weights(), training.loss_sum, float(training.state[3])))
    for clean, padded in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_array_equal(clean, padded)
    assert results[0][1:] == results[1][1:]
    assert results[0][2] == 3.0, "one optimizer step per real batch"


def test_clients_larger_than_a_chunk_train_on_every_row() -> None:
    import keras

    plain = without_dropout(NETWORK)
    num_rows = CHUNK_BATCHES * 8 + 13
    ours = train(plain, num_rows=num_rows)
    assert ours.num_rows == num_rows
    assert_close(ours.weights, keras_fit(plain, num_rows, 1, keras.optimizers.Adam(0.01)), 1e-4)


def test_clients_of_every_size_share_one_trace() -> None:
    from fedchurn.learning.keras_step import _compiled_step

    spec = ModelSpec(5, hidden=(HiddenLayer(7, 0.5),))  # met in no other test
    for num_rows, rate in ((1, 0.1), (9, 0.01), (700, 0.001), (3000, 0.01)):
        train(spec, num_rows=num_rows, learning_rate=rate, proximal=rate)
    assert _compiled_step(spec, "adam").experimental_get_tracing_count() == 1


@SPECS
def test_equal_seeds_give_equal_bytes(spec: ModelSpec) -> None:
    assert digest(train(spec)) == digest(train(spec))


def test_seed_round_and_client_each_matter() -> None:
    inputs, target = rows_of(50)
    digests = {
        digest(
            local_epochs(
                NETWORK,
                random_weights(NETWORK),
                inputs,
                target,
                EpochSettings(batch_size=8),
                seed=seed,
                round_num=round_num,
                client=client,
            )
        )
        for seed, round_num, client in ((1, 1, "a"), (2, 1, "a"), (1, 2, "a"), (1, 1, "b"))
    }
    assert len(digests) == 4


def test_another_process_gives_equal_bytes() -> None:
    code = (
        "from tests.unit.learning.test_keras_epochs import NETWORK, digest, train\n"
        "print(digest(train(NETWORK, epochs=2)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "17", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.stdout.split()[-1] == digest(train(NETWORK, epochs=2))


def test_dropout_keeps_the_expected_output() -> None:
    generator = np.random.default_rng(0)
    inputs, target = rows_of(2000)
    (mask,) = Chunk.of(RESIDUAL, inputs, target, 8, generator).masks
    used = mask[:250].reshape(-1)
    assert set(np.unique(used)) == {np.float32(0), np.float32(1 / 0.75)}
    assert used.mean() == pytest.approx(1.0, abs=0.02)


def test_a_frozen_linear_path_does_not_move() -> None:
    start = random_weights(RESIDUAL)
    update = train(RESIDUAL, freeze_linear=True, epochs=3)
    for before, after in zip(start[:2], update.weights[:2], strict=True):
        assert before.tobytes() == after.tobytes()
    assert all(
        not np.array_equal(before, after)
        for before, after in zip(start[2:], update.weights[2:], strict=True)
    )


def test_the_proximal_term_by_hand() -> None:
    """From zeros, the second step of SGD feels mu * (w_1 - w_0)."""
    spec = ModelSpec(1)
    start = (np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
    inputs, target = np.ones((1, 1), np.float32), np.ones(1, np.int8)
    settings = EpochSettings(
        epochs=2, batch_size=8, optimizer="sgd", learning_rate=1.0, proximal=0.5
    )
    update = local_epochs(spec, start, inputs, target, settings, seed=0, round_num=1, client="acme")
    first = 0.5
    second = first - ((1 / (1 + np.exp(-2 * first)) - 1) + 0.5 * first)
    assert update.weights[0][0, 0] == pytest.approx(second, abs=1e-6)


def test_a_strong_proximal_term_holds_the_weights_back() -> None:
    def moved(update: LocalUpdate) -> float:
        start = random_weights(NETWORK)
        return sum(
            float(np.square(a - b).sum()) for a, b in zip(start, update.weights, strict=True)
        )

    settings = {"optimizer": "sgd", "learning_rate": 0.1, "epochs": 3}
    assert moved(train(NETWORK, **settings, proximal=5.0)) < 0.5 * moved(train(NETWORK, **settings))


def test_training_learns() -> None:
    inputs, target = rows_of(400)
    update = train(ADDITIVE, num_rows=400, epochs=20)
    right = (predict_probability(ADDITIVE, update.weights, inputs) > 0.5) == target
    assert right.mean() > 0.7
    assert update.accuracy > 0.7
    assert update.loss < np.log(2)


def test_a_client_without_rows_is_named() -> None:
    with pytest.raises(FederationError, match="'acme': no training rows"):
        train(NETWORK, num_rows=0)


def test_rows_of_another_encoder_are_refused() -> None:
    inputs, target = rows_of(4)
    with pytest.raises(FederationError, match=r"inputs are \(4, 3\), the model wants \(4, 5\)"):
        local_epochs(
            NETWORK,
            random_weights(NETWORK),
            inputs[:, :3],
            target,
            EpochSettings(),
            seed=0,
            round_num=1,
            client="acme",
        )


def test_mistyped_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="did you mean 'adam'"):
        EpochSettings(optimizer="adm")
    with pytest.raises(SettingsError, match="epochs is 0"):
        EpochSettings(epochs=0)
    with pytest.raises(SettingsError, match="learning_rate nan"):
        EpochSettings(learning_rate=float("nan"))
    with pytest.raises(SettingsError, match="no network to train"):
        train(ADDITIVE, freeze_linear=True)


@SPECS
def test_a_correction_is_added_to_every_gradient(spec: ModelSpec) -> None:
    """One batch of plain SGD: a correction moves the weights by rate times itself, once a step."""
    spec = without_dropout(spec)
    size = sum(array.size for array in random_weights(spec))
    correction = np.random.default_rng(0).normal(size=size).astype(np.float32)
    inputs, target = rows_of(20)
    settings = EpochSettings(batch_size=32, optimizer="sgd", learning_rate=0.1)
    with_it, without = (
        local_epochs(
            spec,
            random_weights(spec),
            inputs,
            target,
            settings,
            seed=5,
            round_num=1,
            client="acme",
            correction=one,
        )
        for one in (correction, None)
    )
    moved = np.concatenate(
        [(a - b).ravel() for a, b in zip(with_it.weights, without.weights, strict=True)]
    )
    np.testing.assert_allclose(moved, -0.1 * correction, atol=1e-6)


def test_a_correction_of_another_size_is_refused() -> None:
    inputs, target = rows_of(20)
    with pytest.raises(FederationError, match="correction of shape"):
        local_epochs(
            ADDITIVE,
            random_weights(ADDITIVE),
            inputs,
            target,
            EpochSettings(),
            seed=5,
            round_num=1,
            client="acme",
            correction=np.zeros(5, np.float32),
        )
