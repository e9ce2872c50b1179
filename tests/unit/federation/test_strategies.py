"""Strategies as pure functions: hand-computed numbers, and equal to Flower's classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, FedMedian, FedYogi
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedchurn.errors import FederationError, SettingsError
from fedchurn.federation.aggregation.strategies import STRATEGIES, ClientUpdate, aggregate

ALL = pytest.mark.parametrize("name", sorted(STRATEGIES))
START = np.array([1.0, 2.0, 0.5])


def updates(*shifts_and_rows: tuple[float, float]) -> list[ClientUpdate]:
    """Clients a, b, c ... that moved every weight by a shift."""
    return [
        ClientUpdate("abcdefgh"[number], np.full(3, shift), num_rows)
        for number, (shift, num_rows) in enumerate(shifts_and_rows)
    ]


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "scaffold"])
def test_the_mean_weights_clients_by_rows(name: str) -> None:
    weights, memory = aggregate(name, START, updates((4.0, 1), (0.0, 3)), {}, {})
    np.testing.assert_array_equal(weights, [2.0, 3.0, 1.5])
    assert memory == {}


def test_a_server_learning_rate_goes_part_of_the_way() -> None:
    hyper = {"server_learning_rate": 0.5}
    weights, _ = aggregate("fedavg", START, updates((4.0, 1), (0.0, 3)), {}, hyper)
    np.testing.assert_array_equal(weights, [1.5, 2.5, 1.0])


def test_momentum_by_hand() -> None:
    hyper = {"server_momentum": 0.5}
    weights, memory = aggregate("fedavgm", START, updates((1.0, 1)), {}, hyper)
    weights, memory = aggregate("fedavgm", weights, updates((1.0, 1)), memory, hyper)
    np.testing.assert_array_equal(weights, START + 1.0 + 1.5)
    np.testing.assert_array_equal(memory["m_t"], [1.5, 1.5, 1.5])


def test_fedadam_by_hand() -> None:
    hyper = {"server_learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "tau": 0.001}
    weights, memory = aggregate("fedadam", START, updates((0.2, 1), (0.4, 1)), {}, hyper)
    first, second = 0.1 * 0.3, 0.01 * 0.3**2
    # Flower corrects the bias with round + 1
    rate = 0.1 * np.sqrt(1 - 0.99**2) / (1 - 0.9**2)
    assert weights[0] == pytest.approx(1.0 + rate * first / (np.sqrt(second) + 0.001))
    np.testing.assert_allclose(memory["m_t"], first)
    np.testing.assert_allclose(memory["v_t"], second)
    assert memory["num_steps"] == 1


def test_fedyogi_by_hand() -> None:
    hyper = {"server_learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "tau": 0.001}
    weights, _ = aggregate("fedyogi", START, updates((0.3, 1)), {}, hyper)
    assert weights[0] == pytest.approx(1.0 + 0.1 * 0.03 / (np.sqrt(0.01 * 0.09) + 0.001))


def test_the_median_goes_with_most_clients() -> None:
    weights, _ = aggregate("median", START, updates((1.0, 1), (1.0, 1), (-50.0, 9)), {}, {})
    np.testing.assert_array_equal(weights, START + 1.0)


FLOWER = {
    "fedavg": FedAvg(),
    "fedavgm": FedAvgM(server_momentum=0.9),
    "fedadam": FedAdam(),
    "fedyogi": FedYogi(),
    "median": FedMedian(),
}


@pytest.mark.parametrize("name", sorted(FLOWER))
def test_equal_to_flowers_own_strategy_over_rounds(name: str) -> None:
    strategy = FLOWER[name]
    generator = np.random.default_rng(7)
    ours = theirs = START
    memory: Mapping[str, NDArray[np.generic]] = {}
    for round_num in (1, 2, 3):
        sent = [
            ClientUpdate(c, generator.normal(size=3), n)
            for c, n in zip("abc", (5, 2, 9), strict=True)
        ]
        ours, memory = aggregate(name, ours, sent, memory, {})
        now = {"0": theirs}
        strategy.current_arrays = ArrayRecord(list(now.values())) if name == "fedavgm" else now
        moved = [_message(theirs + one.update, one.weight) for one in sent]
        record, _ = strategy.aggregate_train(round_num, moved)
        assert record is not None
        theirs = record.to_numpy_ndarrays()[0]
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def _message(weights: NDArray[np.float64], num_rows: float) -> Message:
    content = {
        "arrays": ArrayRecord({"0": Array(weights)}),
        "metrics": MetricRecord({"num-examples": int(num_rows)}),
    }
    return Message(RecordDict(content), dst_node_id=0, message_type=MessageType.TRAIN)


@ALL
@given(
    shifts=st.lists(
        st.tuples(st.floats(-5, 5, width=32), st.integers(1, 10_000)), min_size=3, max_size=8
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_changes_nothing(
    name: str, shifts: list[tuple[float, int]], order: object
) -> None:
    in_order = updates(*shifts)
    shuffled = list(in_order)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (aggregate(name, START, sent, {}, {})[0] for sent in (in_order, shuffled))
    assert one.tobytes() == other.tobytes()


@ALL
def test_clients_that_learnt_nothing_change_nothing(name: str) -> None:
    weights, _ = aggregate(name, START, updates((0.0, 7), (0.0, 3), (0.0, 2)), {}, {})
    np.testing.assert_array_equal(START, weights)


@ALL
def test_arguments_are_left_as_they_are(name: str) -> None:
    sent = updates((1.0, 1), (2.0, 1), (1.5, 1))
    _, memory = aggregate(name, START, sent, {}, {})
    before = {key: array.copy() for key, array in memory.items()}
    aggregate(name, START, sent, memory, {})
    assert START.tolist() == [1.0, 2.0, 0.5]
    assert sent[1].update.tolist() == [2.0, 2.0, 2.0]
    for key, array in before.items():
        np.testing.assert_array_equal(array, memory[key])


def test_mistyped_names_get_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"no strategy 'fedadm'.*\n.*did you mean 'fedadam'"):
        aggregate("fedadm", START, updates((0.0, 1)), {}, {})
    with pytest.raises(SettingsError, match=r"strategy fedyogi: no setting 'beta1'.*\n.*'beta_1'"):
        aggregate("fedyogi", START, updates((0.0, 1)), {}, {"beta1": 0.5})


def test_updates_that_cannot_be_combined_are_named() -> None:
    with pytest.raises(FederationError, match="no updates"):
        aggregate("fedavg", START, [], {}, {})
    with pytest.raises(FederationError, match=r"client 'a': an update of shape \(1,\)"):
        aggregate("fedavg", START, [ClientUpdate("a", np.ones(1), 3)], {}, {})
    with pytest.raises(FederationError, match="client 'b': trained on 0 rows"):
        aggregate("fedavg", START, updates((0.0, 2), (0.0, 0)), {}, {})
