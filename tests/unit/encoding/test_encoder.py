"""The encoder: hand-computed inputs, one record, one row equal to many."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.columns import MISSING, UNKNOWN
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.encoding.fit import EncoderSettings, fit_encoder, histogram_quantiles
from fedchurn.encoding.row_encoder import RowEncoder
from fedchurn.encoding.statistics import client_statistics
from tests.unit.encoding.small_contract import CONTRACT, columns_of

ENCODER = Encoder(
    (
        NumberEncoding("age", center=40, scale=10, fill=35, knots=(50.0,), missing_flag=True),
        CategoryEncoding("plan", ("basic", "pro"), missing_flag=True),
    )
)


def test_inputs_by_hand() -> None:
    columns = columns_of(age=[60, np.nan], plan=[1, MISSING])
    assert ENCODER.encode(columns).tolist() == [
        [0, 2, 1, 0, 1, 0, 0],  # not missing, (60-40)/10, (60-50)/10, pro
        [1, -0.5, 0, 0, 0, 0, 1],  # missing, filled by 35, missing plan
    ]


def test_an_unknown_label_has_its_own_input() -> None:
    row = ENCODER.encode(columns_of(age=[40], plan=[UNKNOWN]))[0]
    names = np.array(ENCODER.input_names())
    assert names[row == 1].tolist() == ["plan unknown"]


def test_the_record_survives_json() -> None:
    again = Encoder.from_dict(json.loads(json.dumps(ENCODER.to_dict())))
    assert again == ENCODER
    assert again.digest() == ENCODER.digest()


@given(
    st.lists(
        st.tuples(
            st.one_of(st.floats(-500, 500), st.just(float("nan"))),
            st.sampled_from([0, 1, MISSING, UNKNOWN]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_one_row_at_a_time_gives_the_same_bytes(rows: list[tuple[float, int]]) -> None:
    together = ENCODER.encode(columns_of([r[0] for r in rows], [r[1] for r in rows]))
    single = RowEncoder(ENCODER)
    one_by_one = np.stack([single.encode({"age": age, "plan": plan}) for age, plan in rows])
    assert together.tobytes() == one_by_one.tobytes()


def test_chunks_give_the_same_inputs() -> None:
    columns = columns_of(np.arange(5000.0) % 90, np.arange(5000) % 2)
    chunks = np.concatenate(list(ENCODER.encode_chunks(columns, 700)))
    np.testing.assert_array_equal(chunks, ENCODER.encode(columns))


def test_knots_are_quantiles_of_the_training_rows() -> None:
    ages = np.repeat(np.arange(1, 100), 10).astype(float)
    statistics = client_statistics(
        columns_of(ages, np.zeros(len(ages))), np.zeros(len(ages), np.int8), CONTRACT
    )
    encoder = fit_encoder(statistics, CONTRACT, EncoderSettings(num_knots=3))
    age = encoder.encodings[0]
    assert isinstance(age, NumberEncoding)
    assert age.knots == (25.0, 50.0, 75.0)
    assert (age.center, age.fill) == (50.0, 50.0)


def test_minmax_scales_to_the_unit_interval_of_reported_extremes() -> None:
    ages = np.repeat([20.0, 60.0], 10)
    statistics = client_statistics(columns_of(ages, np.zeros(20)), np.zeros(20, np.int8), CONTRACT)
    encoder = fit_encoder(statistics, CONTRACT, EncoderSettings(basis="linear", scaling="minmax"))
    encoded = encoder.encode(columns_of([20, 60, 40], [0, 0, 0]))
    names = encoder.input_names()
    assert encoded[:, names.index("age")].tolist() == [0, 1, 0.5]


def test_a_feature_nobody_has_values_of_is_encoded_as_missing_only() -> None:
    statistics = client_statistics(
        columns_of([np.nan] * 20, [0] * 20), np.zeros(20, np.int8), CONTRACT
    )
    encoder = fit_encoder(statistics, CONTRACT, EncoderSettings())
    encoded = encoder.encode(columns_of([np.nan], [0]))[0]
    assert encoded[encoder.input_names().index("age is missing")] == 1


def test_quantiles_interpolate_inside_wide_cells() -> None:
    edges = np.array([0.0, 10.0, 20.0])
    cells = np.array([0.0, 4.0, 4.0, 0.0])
    quantiles = histogram_quantiles(cells, edges, np.array([0.25, 0.5, 0.75]))
    assert quantiles.tolist() == [5.0, 10.0, 15.0]
