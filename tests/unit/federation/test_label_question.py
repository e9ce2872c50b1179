"""Labels join at each client; only sums leave, and they are those of all rows together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.drift.performance.decay import Decay, DecayRule, check_decay
from fedchurn.drift.performance.held_out import HeldOut
from fedchurn.drift.performance.label_sums import LabelSums, add_label_sums, label_sums
from fedchurn.errors import DataError, QuorumError
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.drift.labels import LabelAnswers, ask_about_labels
from fedchurn.federation.exchange import Request
from fedchurn.federation.training.checks import RoundPolicy

POLICY = RoundPolicy(quorum_fraction=0.5)
HELD_OUT = HeldOut(1000, 500, 1.0, 0.9, 0.9, 0.95, 0.08, 0.03)


def sums(num_rows: int, wrong_fraction: float, seed: int = 0) -> LabelSums:
    generator = np.random.default_rng(seed)
    labels = np.arange(num_rows) % 2
    called = np.where(generator.random(num_rows) < wrong_fraction, 1 - labels, labels)
    return label_sums(labels, 0.25 + 0.5 * called, called)


def exchange(parts: dict[str, LabelSums]) -> DirectExchange:
    return DirectExchange(
        {
            client: LabelAnswers(client, lambda release, part=part: {"new": part}[release])  # type: ignore[misc]
            for client, part in parts.items()
        }
    )


def test_one_client_that_decayed_is_named_from_sums_alone() -> None:
    parts = {"north": sums(400, 0.05), "south": sums(400, 0.4), "west": sums(400, 0.05, 1)}
    found, absent = ask_about_labels(exchange(parts), POLICY, "new")
    assert (found, absent) == (parts, {})
    verdict = check_decay(
        add_label_sums(found.values()),
        HELD_OUT,
        DecayRule(),
        live_by_client=found,
        reference_by_client=dict.fromkeys(found, HELD_OUT),
    )
    assert verdict.verdict is Decay.DECAY
    assert verdict.decayed_clients == ("south",)


def test_what_leaves_is_three_arrays_whose_size_does_not_grow_with_rows() -> None:
    few, many = (
        LabelAnswers("north", lambda _, n=n: sums(n, 0.1)).handle(  # type: ignore[misc]
            Request("labels", 0, {}, {"release": "new"})
        )
        for n in (100, 10_000)
    )
    assert few.numbers == many.numbers == {}
    sizes = {name: array.shape for name, array in few.arrays.items()}
    assert sizes == {name: array.shape for name, array in many.arrays.items()}
    assert sorted(sizes) == ["label_negative_counts", "label_positive_counts", "label_totals"]


def test_few_labels_stay_where_they_are() -> None:
    parts = {"north": sums(400, 0.05), "south": sums(29, 0.0)}
    found, absent = ask_about_labels(exchange(parts), POLICY, "new")
    assert list(found) == ["north"]
    assert "fewer than 30 customers" in absent["south"]
    with pytest.raises(QuorumError, match="south"):
        ask_about_labels(exchange(parts), RoundPolicy(), "new")


def test_a_strange_answer_is_absent_and_named() -> None:
    class Liar:
        def handle(self, request: Request) -> object:
            reply = LabelAnswers("south", lambda _: sums(100, 0.0)).handle(request)
            reply.arrays["label_totals"][0] += 1  # type: ignore[index]
            return reply

    clients = {"north": LabelAnswers("north", lambda _: sums(100, 0.0)), "south": Liar()}
    found, absent = ask_about_labels(DirectExchange(clients), POLICY, "new")  # type: ignore[arg-type]
    assert list(found) == ["north"]
    assert "contradict themselves" in absent["south"]


def test_another_question_is_not_answered() -> None:
    replies = exchange({"north": sums(100, 0.0)}).ask(Request("evaluate", 0))
    assert "it knows 'labels'" in replies[0].error


@settings(max_examples=30)
@given(st.integers(0, 60), st.floats(0, 1), st.integers(0, 5))
def test_arrays_bring_the_sums_back(num_rows: int, wrong: float, seed: int) -> None:
    part = sums(num_rows, wrong, seed)
    assert LabelSums.from_arrays(part.to_arrays()) == part


@pytest.mark.parametrize(
    "damage",
    [
        {"label_totals": np.zeros(3, dtype=np.int64)},
        {"label_positive_counts": np.zeros(5, dtype=np.int64)},
        {"label_negative_counts": np.full(4096, -1)},
    ],
)
def test_sums_that_contradict_themselves_are_refused(damage: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match="label sums"):
        LabelSums.from_arrays({**sums(40, 0.1).to_arrays(), **damage})
