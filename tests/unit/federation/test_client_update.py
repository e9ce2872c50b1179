"""What a client does to its update: clip, noise, compress, weigh."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedchurn.errors import FederationError, SettingsError
from fedchurn.federation.client.update import UpdateRules, leaving
from fedchurn.federation.exchange import Reply, num_bytes
from fedchurn.federation.updates import PLACES, UPDATE, VALUES, update_of

updates = hnp.arrays(
    np.float32,
    st.integers(1, 60),
    elements=st.floats(-1000, 1000, width=32, allow_subnormal=False),
)


def arrived(update: np.ndarray, rules: UpdateRules, num_rows: float = 7.0) -> np.ndarray:
    return update_of(Reply("a", leaving(update, rules, num_rows)), len(update))


@given(updates)
def test_without_compression_the_update_arrives_as_it_left(update: np.ndarray) -> None:
    np.testing.assert_array_equal(arrived(update, UpdateRules()), update)


@given(updates)
def test_half_precision_errs_by_half_a_unit_in_the_eleventh_bit(update: np.ndarray) -> None:
    error = np.abs(arrived(update, UpdateRules(compression="fp16")) - update)
    assert (error <= np.maximum(np.abs(update) * 2.0**-11, 2.0**-25)).all()


def test_half_precision_ends_at_its_largest_number_and_halves_the_bytes() -> None:
    huge = np.array([1e9, -1e9, 1.0])
    assert arrived(huge, UpdateRules(compression="fp16")).tolist() == [65504.0, -65504.0, 1.0]
    sizes = [
        num_bytes(leaving(np.ones(100), UpdateRules(compression=name), 1))  # type: ignore[arg-type]
        for name in ("none", "fp16")
    ]
    assert sizes == [400, 200]


@settings(deadline=None)
@given(updates, st.floats(0.01, 1))
def test_top_k_keeps_the_largest_numbers_exactly_and_drops_no_larger_one(
    update: np.ndarray, keep_fraction: float
) -> None:
    rules = UpdateRules(compression="top_k", keep_fraction=keep_fraction)
    sent = leaving(update, rules, 7.0)
    places = np.asarray(sent[PLACES]).astype(int)
    assert len(places) == max(1, int(np.ceil(keep_fraction * len(update))))
    assert (np.diff(places) > 0).all()
    came = arrived(update, rules)
    np.testing.assert_array_equal(came[places], update[places])
    dropped = np.delete(update, places)
    assert not np.delete(came, places).any()
    assert np.abs(dropped).max(initial=0) <= np.abs(update[places]).min()
    # No other choice of so many numbers is nearer: the error is the norm of the rest.
    assert np.linalg.norm(came - update) == pytest.approx(np.linalg.norm(dropped), rel=1e-5)


def test_top_k_sends_a_place_and_a_value_of_four_bytes_each() -> None:
    rules = UpdateRules(compression="top_k", keep_fraction=0.01)
    assert num_bytes(leaving(np.arange(1000.0), rules, 1)) == 10 * 8


def test_equal_sizes_are_kept_in_order_of_place() -> None:
    rules = UpdateRules(compression="top_k", keep_fraction=0.5)
    sent = leaving(np.array([-1.0, 1.0, 1.0, -1.0]), rules, 1)
    assert (sent[PLACES].tolist(), sent[VALUES].tolist()) == ([0, 1], [-1.0, 1.0])


@given(updates, st.floats(0.01, 100))
def test_clipping_keeps_the_direction_and_bounds_the_length(
    update: np.ndarray, norm: float
) -> None:
    came = arrived(update, UpdateRules(clip_norm=norm))
    length = float(np.linalg.norm(update.astype(np.float64)))
    assert np.linalg.norm(came) <= norm * (1 + 1e-5)
    if length > norm:
        np.testing.assert_allclose(came * length, update * norm, rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_array_equal(came, update)


def test_noise_comes_after_clipping_with_its_deviation() -> None:
    rules = UpdateRules(clip_norm=1.0, noise_std=2.0)
    sent = leaving(np.array([3.0, 4.0]), rules, 1, noise=lambda size: np.ones(size))
    np.testing.assert_allclose(sent[UPDATE], [2.6, 2.8], rtol=1e-6)
    with pytest.raises(SettingsError, match="without a source"):
        leaving(np.ones(2), rules, 1)


def test_summed_updates_are_multiplied_by_what_they_count() -> None:
    by_rows = leaving(np.ones(2), UpdateRules(summed=True), 7.0)[UPDATE]
    alike = leaving(np.ones(2), UpdateRules(summed=True, weighting="clients"), 7.0)[UPDATE]
    assert (by_rows.tolist(), alike.tolist()) == ([7.0, 7.0], [1.0, 1.0])


def test_top_k_of_masked_sums_is_refused() -> None:
    with pytest.raises(SettingsError, match="masked sums"):
        UpdateRules(summed=True, compression="top_k")


def test_rules_travel_as_json() -> None:
    rules = UpdateRules(1.5, 0.1, "top_k", 0.2, "clients")
    assert UpdateRules.from_json(rules.to_json()) == rules


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {UPDATE: np.zeros(3)},
        {PLACES: np.array([0, 0]), VALUES: np.ones(2)},
        {PLACES: np.array([9]), VALUES: np.ones(1)},
        {PLACES: np.array([-1]), VALUES: np.ones(1)},
        {PLACES: np.array([0, 1]), VALUES: np.ones(3)},
        {UPDATE: np.array(["a", "b"])},
    ],
    ids=["nothing", "short", "twice", "outside", "negative", "uneven", "text"],
)
def test_an_update_that_cannot_be_read_names_its_client(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(FederationError) as refused:
        update_of(Reply("acme", arrays), 2)
    assert refused.value.where == "client 'acme'"
