"""A client learns the same in a cohort as alone."""

from __future__ import annotations

import numpy as np
import pytest

from fedchurn.errors import FederationError, SettingsError
from fedchurn.learning.keras_cohort import CohortRows, CohortUpdates, cohort_epochs
from fedchurn.learning.keras_epochs import EpochSettings, LocalUpdate, local_epochs
from fedchurn.learning.keras_step import CHUNK_BATCHES
from fedchurn.learning.spec import ModelSpec
from tests.unit.learning.small import (
    ADDITIVE,
    NETWORK,
    RESIDUAL,
    SPECS,
    random_weights,
    rows_of,
)

SIZES = {"acme": 5, "bolt": 1, "cork": 8, "dune": 21, "echo": 9, "fern": 3, "golf": 40}


def cohort(sizes: dict[str, int] = SIZES) -> CohortRows:
    parts = [
        (client, *rows_of(size, seed)) for seed, (client, size) in enumerate(sizes.items(), start=1)
    ]
    return CohortRows.joined(parts, 5)


def together(
    spec: ModelSpec, settings: EpochSettings, rows: CohortRows | None = None, **more: object
) -> CohortUpdates:
    rows = rows or cohort()
    return cohort_epochs(
        spec,
        random_weights(spec),
        rows,
        settings,
        seed=5,
        round_num=2,
        **{"group_size": 3, **more},  # type: ignore[arg-type]
    )


def alone(spec: ModelSpec, settings: EpochSettings, rows: CohortRows, place: int) -> LocalUpdate:
    start, end = rows.starts[place : place + 2]
    return local_epochs(
        spec,
        random_weights(spec),
        rows.inputs[start:end],
        rows.target[start:end],
        settings,
        seed=5,
        round_num=2,
        client=rows.clients[place],
    )


def assert_as_alone(spec: ModelSpec, settings: EpochSettings, rows: CohortRows) -> None:
    joined = together(spec, settings, rows)
    before = np.concatenate([array.ravel() for array in random_weights(spec)])
    for place, client in enumerate(rows.clients):
        own = alone(spec, settings, rows, place)
        after = np.concatenate([array.ravel() for array in own.weights])
        np.testing.assert_allclose(joined.updates[place], after - before, atol=2e-5, err_msg=client)
        assert joined.num_rows[place] == own.num_rows
        assert joined.loss_sum[place] / own.num_rows == pytest.approx(own.loss, rel=1e-4)
        assert joined.num_right[place] / own.num_rows == pytest.approx(own.accuracy)


@SPECS
def test_every_client_learns_what_it_would_alone(spec: ModelSpec) -> None:
    """Two epochs, dropout, a proximal term; clients of one row, whole batches and odd ends."""
    assert_as_alone(spec, EpochSettings(epochs=2, batch_size=8, proximal=0.3), cohort())


def test_sgd_with_a_frozen_linear_path() -> None:
    settings = EpochSettings(
        batch_size=8, optimizer="sgd", learning_rate=0.1, epochs=3, freeze_linear=True
    )
    rows = cohort()
    assert_as_alone(RESIDUAL, settings, rows)
    np.testing.assert_array_equal(together(RESIDUAL, settings, rows).updates[:, :6], 0)


def test_a_client_larger_than_a_chunk_of_local_epochs_draws_the_same_dropout() -> None:
    rows = cohort({"large": CHUNK_BATCHES * 2 + 5, "small": 3})
    assert_as_alone(NETWORK, EpochSettings(batch_size=2, learning_rate=0.001), rows)


def test_the_company_of_a_client_hardly_matters() -> None:
    settings = EpochSettings(batch_size=8)
    joined, few = (
        together(NETWORK, settings, cohort(sizes))
        for sizes in (SIZES, {"acme": SIZES["acme"], "bolt": SIZES["bolt"]})
    )
    np.testing.assert_allclose(joined.updates[:2], few.updates, atol=1e-6)


def test_equal_arguments_give_equal_bytes() -> None:
    settings = EpochSettings(batch_size=8)
    once, again = (together(NETWORK, settings).updates for _ in range(2))
    assert once.tobytes() == again.tobytes()


def test_a_batch_size_above_all_clients_is_one_batch() -> None:
    rows = cohort({"acme": 40, "bolt": 70})
    assert_as_alone(NETWORK, EpochSettings(batch_size=1000), rows)


def test_a_correction_is_added_to_every_gradient() -> None:
    """SGD moves by rate times gradient, so a constant correction c moves n batches by -rate n c."""
    settings = EpochSettings(batch_size=8, optimizer="sgd", learning_rate=1e-4)
    plain = together(ADDITIVE, settings)
    corrections = np.zeros((len(SIZES), 6), dtype=np.float32)
    corrections[3] = np.arange(6) * 1000
    moved = together(ADDITIVE, settings, corrections=corrections).updates - plain.updates
    num_batches = 3  # 21 rows by 8
    np.testing.assert_allclose(moved[3], -1e-4 * num_batches * corrections[3], atol=1e-3)
    assert np.abs(np.delete(moved, 3, axis=0)).max() == 0


def test_a_correction_leaves_a_frozen_path_alone() -> None:
    settings = EpochSettings(batch_size=8, freeze_linear=True)
    size = together(RESIDUAL, settings).updates.shape[1]
    ones = np.ones((len(SIZES), size), dtype=np.float32)
    updates = together(RESIDUAL, settings, corrections=ones).updates
    np.testing.assert_array_equal(updates[:, :6], 0)
    assert np.all(updates[:, 6:] < 0)


def test_a_client_without_rows_is_named() -> None:
    with pytest.raises(FederationError, match="'bolt': no training rows"):
        together(NETWORK, EpochSettings(), cohort({"acme": 2, "bolt": 0}))


def test_rows_of_another_encoder_are_refused() -> None:
    inputs, target = rows_of(4)
    with pytest.raises(FederationError, match=r"'acme': inputs are \(4, 5\)"):
        CohortRows.joined([("acme", inputs, target)], 7)


def test_nothing_to_train_is_told() -> None:
    with pytest.raises(SettingsError, match="no network to train"):
        together(ADDITIVE, EpochSettings(freeze_linear=True))
