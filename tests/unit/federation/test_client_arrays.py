"""Arrays of many clients survive being stacked, bit by bit."""

from __future__ import annotations

import io

import numpy as np

from fedchurn.federation.training.client_arrays import stacked, unstacked


def test_arrays_come_back_with_type_shape_and_bits() -> None:
    parts = {
        "a/b": {"x": np.array([1.5, np.nan], np.float32), "n": np.array(3)},
        "tier=1": {"x": np.array([2.5, -0.0], np.float32), "n": np.array(4)},
        "0": {"x": np.array([[1.0]]), "text": np.array(["é", "no"])},
        "nothing": {},
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **stacked(parts))
    with np.load(io.BytesIO(buffer.getvalue()), allow_pickle=False) as stored:
        found = unstacked({name: stored[name] for name in stored.files})
    assert list(found) == list(parts)
    for client, arrays in parts.items():
        assert found[client].keys() == arrays.keys()
        for name, array in arrays.items():
            own = found[client][name]
            assert (own.dtype, own.shape, own.tobytes()) == (
                array.dtype,
                array.shape,
                array.tobytes(),
            )


def test_clients_alike_share_an_array_per_name() -> None:
    parts = {f"client_{n}": {"x": np.ones(2), "y": np.ones(1)} for n in range(500)}
    assert len(stacked(parts)) == 4


def test_nobody_is_nobody() -> None:
    assert unstacked(stacked({})) == {}
