"""Flower's strategies as pure functions, by hand-computed numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedchurn.errors import FederationError, SettingsError
from fedchurn.federation.flower_strategies import STRATEGIES, aggregate

Arrays = tuple[NDArray[np.float32], ...]
ALL = pytest.mark.parametrize("name", sorted(STRATEGIES))
START: Arrays = (np.array([1.0, 2.0], np.float32), np.array([[0.5]], np.float32))


def replies(*shifts_and_rows: tuple[float, int]) -> list[tuple[str, Arrays, int]]:
    """Clients a, b, c ... whose weights are the start plus a shift."""
    return [
        ("abcdefgh"[number], tuple(array + np.float32(shift) for array in START), num_rows)
        for number, (shift, num_rows) in enumerate(shifts_and_rows)
    ]


@pytest.mark.parametrize("name", ["fedavg", "fedprox"])
def test_fedavg_weights_clients_by_rows(name: str) -> None:
    weights, memory = aggregate(name, START, replies((4.0, 1), (0.0, 3)), {}, {})
    np.testing.assert_array_equal(weights[0], [2.0, 3.0])
    np.testing.assert_array_equal(weights[1], [[1.5]])
    assert memory == {}


def test_fedavg_with_a_server_learning_rate_goes_part_of_the_way() -> None:
    weights, _ = aggregate(
        "fedavg", START, replies((4.0, 1), (0.0, 3)), {}, {"server_learning_rate": 0.5}
    )
    np.testing.assert_array_equal(weights[0], [1.5, 2.5])


def test_fedadam_by_hand() -> None:
    hyper = {"server_learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "tau": 0.001}
    weights, memory = aggregate("fedadam", START, replies((0.2, 1), (0.4, 1)), {}, hyper)
    delta = 0.3
    first, second = 0.1 * delta, 0.01 * delta**2
    # Flower corrects the bias with round + 1
    rate = 0.1 * np.sqrt(1 - 0.99**2) / (1 - 0.9**2)
    expected = 1.0 + rate * first / (np.sqrt(second) + 0.001)
    assert weights[0][0] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(memory["m_t.0"], first, rtol=1e-6)
    np.testing.assert_allclose(memory["v_t.1"], second, rtol=1e-6)
    assert memory["num_steps"] == 1


def test_fedyogi_by_hand() -> None:
    hyper = {"server_learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "tau": 0.001}
    weights, _ = aggregate("fedyogi", START, replies((0.3, 1)), {}, hyper)
    expected = 1.0 + 0.1 * 0.03 / (np.sqrt(0.01 * 0.09) + 0.001)
    assert weights[0][0] == pytest.approx(expected, rel=1e-5)


@ALL
@given(
    shifts=st.lists(
        st.tuples(st.floats(-5, 5, width=32), st.integers(1, 10_000)), min_size=1, max_size=8
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_changes_nothing(
    name: str, shifts: list[tuple[float, int]], order: object
) -> None:
    in_order = replies(*shifts)
    shuffled = list(in_order)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (aggregate(name, START, given_, {}, {})[0] for given_ in (in_order, shuffled))
    assert [array.tobytes() for array in one] == [array.tobytes() for array in other]


@ALL
def test_clients_that_learnt_nothing_change_nothing(name: str) -> None:
    weights, _ = aggregate(name, START, replies((0.0, 7), (0.0, 3)), {}, {})
    for before, after in zip(START, weights, strict=True):
        assert after.dtype == np.float32
        np.testing.assert_array_equal(before, after)


@ALL
def test_memory_through_a_file_equals_an_unbroken_run(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def play(restart_after: int | None) -> Arrays:
        weights: Arrays = START
        memory: dict[str, NDArray[np.generic]] = {}
        for round_num in range(1, 6):
            moved = [
                ("a", tuple(w + np.float32(0.1 * round_num) for w in weights), 3),
                ("b", tuple(w * np.float32(0.9) for w in weights), 5),
            ]
            weights, memory = aggregate(name, weights, moved, memory, {})
            if round_num == restart_after:
                path = tmp_path_factory.mktemp("state") / "memory.npz"
                np.savez(path, allow_pickle=False, **memory)
                with np.load(path, allow_pickle=False) as stored:
                    memory = {key: stored[key] for key in stored.files}
        return weights

    unbroken = [array.tobytes() for array in play(None)]
    assert [array.tobytes() for array in play(2)] == unbroken


@ALL
def test_arguments_are_left_as_they_are(name: str) -> None:
    given_replies = replies((1.0, 1), (2.0, 1))
    _, memory = aggregate(name, START, given_replies, {}, {})
    before = {key: array.copy() for key, array in memory.items()}
    aggregate(name, START, given_replies, memory, {})
    assert START[0].tolist() == [1.0, 2.0]
    assert given_replies[0][1][0].tolist() == [2.0, 3.0]
    for key, array in before.items():
        np.testing.assert_array_equal(array, memory[key])


def test_mistyped_names_get_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"no strategy 'fedadm'.*\n.*did you mean 'fedadam'"):
        aggregate("fedadm", START, replies((0.0, 1)), {}, {})
    with pytest.raises(SettingsError, match=r"strategy fedyogi: no setting 'beta1'.*\n.*'beta_1'"):
        aggregate("fedyogi", START, replies((0.0, 1)), {}, {"beta1": 0.5})


def test_replies_that_cannot_be_added_are_named() -> None:
    with pytest.raises(FederationError, match="no replies"):
        aggregate("fedavg", START, [], {}, {})
    with pytest.raises(FederationError, match=r"client 'a': weights of shapes \[\(1, 1\)\]"):
        aggregate("fedavg", START, [("a", START[1:], 3)], {}, {})
    with pytest.raises(FederationError, match="client 'b': trained on 0 rows"):
        aggregate("fedavg", START, replies((0.0, 2), (0.0, 0)), {}, {})
