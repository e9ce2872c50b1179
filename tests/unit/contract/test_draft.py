"""A first contract from tables that the project has never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.contract.draft import draft_contract
from fedchurn.contract.load import dump_contract, load_contract, parse_contract
from fedchurn.errors import ContractError

NUM_ROWS = 120


def table(**more: object) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    base: dict[str, object] = {
        "Age (years)": rng.integers(18, 80, NUM_ROWS),
        "Plan": rng.choice(["S", "M", "L"], NUM_ROWS),
        "Exited": np.arange(NUM_ROWS) % 4 == 0,
    }
    return pd.DataFrame(base | more)


def draft(frame: pd.DataFrame, **options: str):
    contract = draft_contract(frame, **{"target": "Exited", "name": "Bank Data 1"} | options)
    assert parse_contract(dump_contract(contract), "draft") == contract
    return contract


def test_kinds_are_inferred():
    rng = np.random.default_rng(1)
    contract = draft(
        table(
            balance=rng.normal(0, 100, NUM_ROWS).round(2),
            products=rng.integers(1, 4, NUM_ROWS),
            active=np.arange(NUM_ROWS) % 2,
            city=[f"city {i % 60}" for i in range(NUM_ROWS)],
            member=np.arange(NUM_ROWS) % 3 == 0,
        )
    )
    kinds = {name: column.kind for name, column in contract.columns.items()}
    assert kinds == {
        "Age (years)": "integer",
        "Plan": "category",
        "balance": "number",
        "products": "category",
        "active": "category",
        "city": "text",
        "member": "category",
    }
    assert contract.contract == "bank-data-1"
    assert contract.columns["products"].categories == ("1", "2", "3")
    assert contract.columns["member"].categories == ("False", "True")
    assert contract.columns["balance"].decimals == 2
    assert contract.columns["balance"].hard is not None
    assert contract.columns["balance"].hard[0] < -1000
    assert contract.columns["Age (years)"].hard == (0, 1000)
    assert contract.target.rate == 0.25
    assert contract.fallback is not None
    assert contract.fallback.base_rate == 0.25


def test_blank_texts_in_a_number_column_are_missing():
    charges = [" " if i % 40 == 0 else f"{i}.50" for i in range(NUM_ROWS)]
    column = draft(table(charges=charges)).columns["charges"]
    assert (column.kind, column.nullable, column.null_tokens) == ("number", True, (" ",))
    assert column.null_fraction == 0.025
    assert column.usual == (1.5, 119.5)


def test_a_rare_text_in_a_number_column_is_a_null_token():
    charges = ["unknown" if i in (5, 6) else str(i) for i in range(NUM_ROWS)]
    column = draft(table(charges=charges)).columns["charges"]
    assert (column.kind, column.null_tokens) == ("integer", ("unknown",))


def test_a_question_mark_is_missing():
    column = draft(table(job=["cook", "?", "smith", "cook"] * 30)).columns["job"]
    assert column.categories == ("cook", "smith")
    assert (column.null_tokens, column.null_fraction) == (("?",), 0.25)


def test_padded_digits_are_labels_not_numbers():
    column = draft(table(post=["01234", "00017", "09999"] * 40)).columns["post"]
    assert column.kind == "category"
    assert set(column.categories or ()) == {"01234", "00017", "09999"}


def test_floats_with_gaps_are_whole_numbers():
    values = [np.nan if i % 10 == 0 else float(i) for i in range(NUM_ROWS)]
    column = draft(table(months=values)).columns["months"]
    assert (column.kind, column.nullable, column.null_fraction) == ("integer", True, 0.1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["same"] * NUM_ROWS, "constant"),
        ([None] * NUM_ROWS, "empty"),
        (pd.date_range("2024-01-01", periods=NUM_ROWS), "dates"),
        ([f"2024-01-{1 + i % 28:02d}" for i in range(NUM_ROWS)], "dates"),
        ([f"{1 + i % 28}.1.2024" for i in range(NUM_ROWS)], "dates"),
        ([f"text {i} of some length" for i in range(NUM_ROWS)], "a text of its own"),
        (["gone" if i % 4 == 0 else "here" for i in range(NUM_ROWS)], "gives the target away"),
        (["moved" if i % 4 == 0 else None for i in range(NUM_ROWS)], "gives the target away"),
    ],
)
def test_what_cannot_be_a_feature_is_left_out_and_said_so(values: object, reason: str):
    contract = draft(table(odd=values))
    assert "odd" not in contract.columns
    assert "'odd'" in contract.description
    assert reason in contract.description


def test_the_id_is_found_by_its_name_before_other_counters():
    contract = draft(
        table(RowNumber=range(1, NUM_ROWS + 1), CustomerId=np.arange(NUM_ROWS) * 7 + 1000)
    )
    assert contract.id is not None
    assert contract.id.column == "CustomerId"
    assert "'RowNumber' (counts or names the rows)" in contract.description


def test_unique_texts_are_an_id():
    contract = draft(table(code=[f"C-{i:05d}" for i in range(NUM_ROWS)]))
    assert contract.id is not None
    assert contract.id.column == "code"


def test_without_a_unique_column_there_is_no_id():
    assert draft(table()).id is None


def test_a_unique_measure_is_no_id():
    contract = draft(table(salary=np.arange(NUM_ROWS) * 13 + 20000))
    assert contract.id is None
    assert contract.columns["salary"].kind == "integer"


def test_a_named_id_is_taken_and_may_repeat():
    contract = draft(table(who=[f"p{i % 100}" for i in range(NUM_ROWS)]), id_column="who")
    assert contract.id is not None
    assert (contract.id.column, contract.id.unique) == ("who", False)


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        ([1, 0, 0, 0], "1"),
        ([1, 1, 1, 0], "1"),
        ([1.0, 0.0, 0.0, np.nan], "1"),
        (["Yes", "Yes", "Yes", "No"], "Yes"),
        (["yes ", "no", " yes", "yes"], "yes"),
        ([True, True, True, False], "True"),
        (["Attrited Customer", "Existing Customer"] * 2, "Attrited Customer"),
        (["Stayed", "Moved", "Moved", "Moved"], "Moved"),
        (["red", "blue", "blue", "blue"], "red"),
    ],
)
def test_the_positive_label(values: list[object], positive: str):
    contract = draft(table(Exited=values * (NUM_ROWS // 4)))
    assert contract.target.positive == positive
    assert contract.target.negative != positive


def test_the_positive_label_can_be_given():
    assert draft(table(), positive="False").target.positive == "False"
    with pytest.raises(ContractError, match="never holds 'Fals'; did you mean 'False'"):
        draft(table(), positive="Fals")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["a", "b", "c", "c"], "holds 3 values, not two: 'a', 'b', 'c'"),
        (["a"] * 4, "holds 1 values, not two: 'a'"),
        ([None] * 4, "holds 0 values, not two: none"),
    ],
)
def test_a_target_needs_two_values(values: list[object], told: str):
    with pytest.raises(ContractError, match=told):
        draft(table(Exited=values * (NUM_ROWS // 4)))


def test_a_mistyped_target_gets_the_nearest():
    with pytest.raises(ContractError, match="no column 'Exitd'; did you mean 'Exited'"):
        draft(table(), target="Exitd")


def test_an_empty_table_and_one_without_features_are_refused():
    with pytest.raises(ContractError, match="the table has no rows"):
        draft(table().iloc[:0])
    with pytest.raises(ContractError, match="no column is left"):
        draft(table()[["Exited"]])
    with pytest.raises(ContractError, match=r"no column is left to learn from: 'x' \(constant\)"):
        draft(table(x=1)[["Exited", "x"]])


def test_two_columns_of_one_name_are_refused():
    frame = table()
    frame.columns = pd.Index(["Plan", " Plan", "Exited"])
    with pytest.raises(ContractError, match="column 2 is named 'Plan', as another is"):
        draft(frame)


@pytest.mark.parametrize("name", ["a b", "100%", "No", "x: y", "#tag", "ä/ö", "{a}", "null", "1"])
def test_any_column_name_works(name: str):
    contract = draft(table(**{name: np.arange(NUM_ROWS) % 50}))
    assert contract.columns[name].kind == "integer"


def test_rows_of_the_table_obey_the_draft():
    rng = np.random.default_rng(3)
    frame = table(
        job=rng.choice(["?", "cook", "smith"], NUM_ROWS),
        spent=np.where(rng.random(NUM_ROWS) < 0.2, np.nan, rng.exponential(50, NUM_ROWS)),
        active=rng.random(NUM_ROWS) < 0.5,
    )
    contract = draft(frame)
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        judged = canonical_row({str(k): v for k, v in row.items()}, contract)
        assert judged.problems == judged.warnings == ()


def test_all_text_and_typed_tables_give_the_same_contract():
    frame = table(score=np.arange(NUM_ROWS) / 4)
    assert draft(frame.astype(str)) == draft(frame)


def test_sensitive_words_are_marked():
    columns = draft(table(Gender=["f", "m", "x"] * 40, MaritalStatus=["a", "b", "c"] * 40)).columns
    assert columns["Gender"].sensitive
    assert columns["MaritalStatus"].sensitive
    assert not columns["Plan"].sensitive


def test_the_sample_leans_the_way_the_rows_do():
    left = np.arange(NUM_ROWS) % 4 == 0
    rng = np.random.default_rng(5)
    frame = table(
        tenure=np.where(left, 5, 30) + rng.integers(0, 20, NUM_ROWS),
        complains=np.where(rng.random(NUM_ROWS) < np.where(left, 0.8, 0.2), "often", "never"),
    )
    columns = draft(frame).columns
    assert columns["tenure"].sample is not None
    assert columns["tenure"].sample.effect < -0.5
    assert columns["complains"].sample is not None
    assert columns["complains"].sample.effects["often"] > 0.3
    assert columns["complains"].sample.effects["never"] < -0.3


@pytest.mark.real_data
def test_a_draft_of_the_telco_file_agrees_with_the_shipped_contract(real_data_dir: Path):
    frame = pd.read_csv(real_data_dir / "Telco-Customer-Churn.csv", dtype=str, na_filter=False)
    drafted = draft_contract(frame, target="Churn", name="telco")
    shipped = load_contract("telco")
    assert drafted.id is not None
    assert drafted.id.column == "customerID"
    assert (drafted.target.positive, drafted.target.negative) == ("Yes", "No")
    assert list(drafted.columns) == list(shipped.columns)
    for name, column in shipped.columns.items():
        assert drafted.columns[name].kind == column.kind
        assert drafted.columns[name].usual == column.usual
        assert set(drafted.columns[name].categories or ()) == set(column.categories or ())
        assert drafted.columns[name].null_fraction == column.null_fraction
