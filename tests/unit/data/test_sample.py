"""The sample has the shape its contract asks for, obeys its rules, and is known as a sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.frames import CanonicalTable, canonical_table
from fedchurn.data.sample import generate_sample, sample_table, write_sample
from fedchurn.data.sources import read_table
from fedchurn.errors import ContractError, SettingsError
from tests.unit.data.small import contract

PROJECT = Path(__file__).resolve().parents[3]
SHIPPED = ("ecommerce", "telco", "telecom")


def canonical(shape: Contract, **options: Any) -> CanonicalTable:
    return canonical_table(sample_table(shape, **options), shape)


def one_column(**column: Any) -> Contract:
    return contract(columns={"X": column}, id=None)


def drawn(column: dict[str, Any], rows: int = 20_000, **parts: Any) -> pd.Series[float]:
    shape = contract(columns={"X": column}, id=None, **parts)
    return canonical(shape, rows=rows).frame["X"]


def test_equal_seed_gives_equal_bytes_and_another_seed_others(tmp_path: Path) -> None:
    shape = load_contract("ecommerce")
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        write_sample(generate_sample(shape, seed=seed), tmp_path / f"{name}.csv", shape, seed=seed)
    one, same, other = ((tmp_path / f"{n}.csv").read_bytes() for n in ("one", "same", "other"))
    assert one == same
    assert one != other


def test_shipped_sample_is_what_the_generator_makes(tmp_path: Path) -> None:
    shape = load_contract("ecommerce")
    write_sample(generate_sample(shape, seed=0), tmp_path / "ecommerce.csv", shape, seed=0)
    for name in ("ecommerce.csv", "ecommerce.sample.json"):
        shipped = PROJECT / "configs" / "samples" / name
        assert shipped.read_bytes() == (tmp_path / name).read_bytes(), "make the sample anew"
    assert (tmp_path / "ecommerce.csv").stat().st_size < 400_000


@pytest.mark.parametrize("name", SHIPPED)
def test_sample_is_what_reading_its_file_gives(name: str, tmp_path: Path) -> None:
    shape = load_contract(name)
    made = sample_table(shape, rows=200, seed=1)
    write_sample(made.frame, tmp_path / "made.csv", shape, seed=1)
    read = read_table(tmp_path / "made.csv", shape)
    pd.testing.assert_frame_equal(read.frame, made.frame)
    assert read.sha256 == made.sha256
    assert read.is_sample
    assert made.is_sample


@pytest.mark.parametrize("name", SHIPPED)
def test_sample_needs_no_excuse(name: str) -> None:
    """All columns, readable cells, known labels, hard limits and churn share of the contract."""
    shape = load_contract(name)
    table = canonical(shape)
    assert (table.missing_columns, table.extra_columns, table.unreadable) == ((), (), ())
    assert table.unknown_targets == {}
    assert table.frame[shape.target.column].mean() == pytest.approx(shape.target.rate, abs=0.01)
    for column_name, column in shape.columns.items():
        values = table.frame[column_name].dropna()
        if column.is_number:
            assert values.between(*(column.usual or (-np.inf, np.inf))).all()
        else:
            assert set(values) == set(column.categories or ())
        missing = table.frame[column_name].isna().mean()
        assert missing == pytest.approx(column.null_fraction or 0.0, abs=0.02)
        assert column.nullable or not missing


def test_telco_sample_obeys_the_rules() -> None:
    frame = canonical(load_contract("telco")).frame
    np.testing.assert_array_equal(frame["TotalCharges"].isna(), frame["tenure"] == 0)
    no_internet = frame["InternetService"] == "No"
    assert 0.1 < no_internet.mean() < 0.4
    for name in ("OnlineSecurity", "StreamingTV"):
        np.testing.assert_array_equal(frame[name] == "No internet service", no_internet)
    product = frame["tenure"] * frame["MonthlyCharges"]
    assert (frame["TotalCharges"] / product - 1).abs().max() <= 0.6


def test_rules_of_every_kind_are_obeyed() -> None:
    number = {"kind": "number", "usual": (0, 10), "nullable": True, "null_fraction": 0.1}
    number["sample"] = {"distribution": "uniform", "mean": 5, "spread": 3}
    shape = contract(
        id=None,
        columns={
            "Low": number,
            "High": number,
            "Plan": {"kind": "category", "categories": ["a", "b", "c"]},
        },
        rules=[
            {"op": "not_above", "id": "order", "low": "Low", "high": "High"},
            {
                "op": "implies",
                "id": "a_is_high",
                "when": [{"column": "Plan", "equals": "a"}],
                "then": [{"column": "High", "above": 4}, {"column": "Low", "is_null": False}],
            },
            {
                "op": "implies",
                "id": "b_is_low",
                "when": [{"column": "High", "below": 2}],
                "then": [{"column": "Plan", "is_in": ["b"]}],
                "both_ways": True,
            },
        ],
    )
    frame = canonical(shape, rows=2_000).frame
    is_a, is_b = frame["Plan"] == "a", frame["Plan"] == "b"
    assert not (frame["Low"] > frame["High"]).any()
    assert (frame["High"][is_a] > 4).all()
    assert frame["Low"][is_a].notna().all()
    np.testing.assert_array_equal(is_b, frame["High"] < 2)
    assert min(is_a.sum(), is_b.sum(), (frame["Plan"] == "c").sum()) > 50


def test_rules_that_contradict_each_other_are_named() -> None:
    def rule(name: str, label: str) -> dict[str, Any]:
        then = [{"column": "Plan", "equals": label}]
        when = [{"column": "Tier", "equals": "1"}]
        return {"op": "implies", "id": name, "when": when, "then": then}

    shape = contract(rules=[rule("to_basic", "Basic"), rule("to_card", "Credit Card")])
    with pytest.raises(ContractError, match="to_basic"):
        generate_sample(shape)


@pytest.mark.parametrize("distribution", ["normal", "lognormal", "uniform", "poisson"])
def test_mean_and_spread_of_a_number(distribution: str) -> None:
    shape = {"distribution": distribution, "mean": 40, "spread": 8}
    values = drawn({"kind": "number", "usual": (0, 200), "sample": shape})
    assert values.mean() == pytest.approx(40, rel=0.02)
    assert values.std() == pytest.approx(8, rel=0.05)


def test_exponential_starts_at_the_usual_low() -> None:
    shape = {"distribution": "exponential", "mean": 15}
    values = drawn({"kind": "number", "usual": (5, 500), "sample": shape})
    assert values.min() == pytest.approx(5, abs=0.01)
    assert values.mean() == pytest.approx(15, rel=0.03)


def test_unlisted_columns_fill_their_range_and_categories() -> None:
    frame = canonical(contract(), rows=5_000).frame
    assert frame["Age"].mean() == pytest.approx(49, abs=1)
    assert (frame["Age"] == frame["Age"].round()).all()
    assert frame["Tier"].value_counts(normalize=True).tolist() == pytest.approx(
        [1 / 3] * 3, abs=0.03
    )
    assert frame["Note"].nunique() > 5


def test_weights_of_categories() -> None:
    column = {"kind": "category", "categories": ["a", "b", "c"], "sample": {"weights": [1, 0, 3]}}
    counts = drawn(column).value_counts(normalize=True)
    assert set(counts.index) == {"a", "c"}
    assert counts["c"] == pytest.approx(0.75, abs=0.02)


def test_missing_share() -> None:
    column = {"kind": "number", "usual": (0, 1), "nullable": True, "null_fraction": 0.2}
    assert drawn(column).isna().mean() == pytest.approx(0.2, abs=0.01)


def churn_rates(column: dict[str, Any], **parts: Any) -> tuple[pd.Series[Any], pd.Series[float]]:
    target = {"column": "Churn", "positive": "Yes", "negative": "No", "rate": 0.3}
    shape = contract(columns={"X": column}, id=None, target=target, **parts)
    frame = canonical(shape, rows=20_000).frame
    assert frame["Churn"].mean() == pytest.approx(0.3, abs=1e-4)
    return frame["X"], frame["Churn"]


def test_effect_of_a_number() -> None:
    sample = {"mean": 50, "spread": 10, "effect": 1.0}
    values, churn = churn_rates({"kind": "number", "usual": (0, 100), "sample": sample})
    assert np.corrcoef(values, churn)[0, 1] > 0.3


def test_effect_of_a_label() -> None:
    column = {"kind": "category", "categories": ["a", "b"], "sample": {"effects": {"a": 2.0}}}
    values, churn = churn_rates(column, sample={"noise": 0.0})
    odds = [churn[values == v].mean() / (1 - churn[values == v].mean()) for v in ("a", "b")]
    assert np.log(odds[0] / odds[1]) == pytest.approx(2.0, abs=0.15)


def test_missing_values_can_be_informative() -> None:
    sample = {"null_effect": 2.0}
    column = {"kind": "number", "usual": (0, 9), "nullable": True, "null_fraction": 0.2}
    values, churn = churn_rates(column | {"sample": sample}, sample={"noise": 0.0})
    gone = values.isna()
    odds = [churn[rows].mean() / (1 - churn[rows].mean()) for rows in (gone, ~gone)]
    assert np.log(odds[0] / odds[1]) == pytest.approx(2.0, abs=0.15)


def test_silos_differ_where_the_contract_says_so() -> None:
    def rates(effect: float) -> list[float]:
        shape = contract(silo_column="Tier", sample={"silo_effect": effect})
        frame = canonical(shape, rows=20_000).frame
        return frame.groupby("Tier")["Churn"].mean().tolist()

    assert np.ptp(rates(0.0)) < 0.03
    low, _, high = rates(1.5)
    assert high - low > 0.3


def test_exact_duplicates_and_near_copies() -> None:
    columns = {
        "Age": {"kind": "integer", "usual": (18, 80), "nullable": True, "null_fraction": 0.1},
        "Paid": {"kind": "number", "usual": (0, 1000), "sample": {"mean": 300, "spread": 100}},
        "Plan": {"kind": "category", "categories": ["a", "b"]},
    }
    fractions = {"exact_duplicate_fraction": 0.1, "near_copy_fraction": 0.2}
    frame = canonical(contract(columns=columns, sample=fractions), rows=1_000).frame
    assert frame["Id"].is_unique
    features = frame.drop(columns="Id")
    base, near, exact = features[:700], features[700:900], features[900:]
    assert len(exact.merge(base.drop_duplicates(), how="inner")) == 100
    moved = near.assign(Age=near["Age"] - 1, Paid=(near["Paid"] - 50).round(2))
    assert len(moved.merge(base.drop_duplicates(), how="inner")) == 200


def test_alias_fraction() -> None:
    column = {"kind": "category", "categories": ["Card", "Cash"], "aliases": {"CC": "Card"}}
    shape = contract(columns={"X": column}, id=None, sample={"alias_fraction": 0.3})
    spellings = generate_sample(shape, rows=20_000)["X"].value_counts()
    assert spellings["CC"] / (spellings["CC"] + spellings["Card"]) == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    "pattern", [r"^\d+$", r"^\d{4}-[A-Z]{5}$", r"C[0-9]{6}", r"^[a-z]{2}\d{5}$"]
)
def test_ids_follow_the_pattern(pattern: str) -> None:
    frame = generate_sample(contract(id={"column": "Id", "pattern": pattern}), rows=500)
    assert frame["Id"].str.fullmatch(pattern).all()
    assert frame["Id"].is_unique


@pytest.mark.parametrize("pattern", [r"^(a|b)\d+$", r"\d{2}"])
def test_ids_beyond_the_generator(pattern: str) -> None:
    with pytest.raises(ContractError, match="id pattern"):
        generate_sample(contract(id={"column": "Id", "pattern": pattern}), rows=500)


def scenario_contract() -> Contract:
    number = {"kind": "integer", "usual": (0, 50), "hard": (0, 100)}
    columns = {
        "Tenure": number | {"nullable": True, "null_fraction": 0.05},
        "Orders": number,
        "Plan": {"kind": "category", "categories": ["a", "b"]},
        "Spare": number,
    }
    scenario = {
        "ranges": {"Orders": (60, 70)},
        "scale": {"Tenure": 1.5},
        "weights": {"Plan": {"b": 1.0}},
        "null_fraction": {"Tenure": 0.5},
    }
    fractions = {"near_copy_fraction": 0.2, "scenarios": {"shifted": scenario}}
    return contract(columns=columns, id=None, sample=fractions)


def test_scenario_disturbs_what_it_names_and_nothing_else() -> None:
    shape = scenario_contract()
    calm = canonical(shape, rows=5_000).frame
    shifted = canonical(shape, rows=5_000, scenario="shifted").frame
    pd.testing.assert_series_equal(calm["Spare"], shifted["Spare"])
    assert shifted["Orders"][:4000].between(60, 70).all()
    assert set(shifted["Plan"]) == {"b"}
    assert shifted["Tenure"].isna().mean() == pytest.approx(0.5, abs=0.03)
    known = shifted["Tenure"][:4000].dropna()
    np.testing.assert_array_equal(known, np.round(calm["Tenure"][known.index] * 1.5))


def test_shift_of_inputs_moves_churn_and_not_its_cause() -> None:
    sample = {"mean": 50, "spread": 10, "effect": 1.0}
    columns = {"X": {"kind": "number", "usual": (0, 100), "sample": sample}}
    shape = contract(columns=columns, sample={"scenarios": {"up": {"scale": {"X": 1.2}}}})
    calm, up = (canonical(shape, rows=5_000, scenario=s).frame for s in (None, "up"))
    assert up["Churn"].mean() > calm["Churn"].mean() + 0.1


def test_every_shipped_scenario_differs_from_the_calm_sample() -> None:
    for name in SHIPPED:
        shape = load_contract(name)
        calm = generate_sample(shape, rows=300)
        for scenario in shape.sample.scenarios:
            disturbed = generate_sample(shape, rows=300, scenario=scenario)
            assert not disturbed.equals(calm), (name, scenario)


def test_reference_drift_script_has_its_ranges() -> None:
    shape = load_contract("ecommerce")
    frame = canonical(shape, rows=2_000, scenario="reference_drift_script").frame
    assert frame["Tenure"].dropna().between(40, 101).all()
    assert frame["CashbackAmount"].min() >= 500
    assert set(frame["CityTier"]) == {"1"}


def test_unknown_scenario() -> None:
    with pytest.raises(SettingsError, match="did you mean 'shifted'"):
        generate_sample(scenario_contract(), scenario="shiftd")


@pytest.mark.parametrize("options", [{"rows": 9}, {"seed": -1}])
def test_impossible_sample(options: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="a sample cannot have"):
        generate_sample(contract(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", [None, r"^\d+$", r"^\d{4}-[A-Z]{5}$"])
def test_sample_is_known_by_its_ids_in_any_format(tmp_path: Path, pattern: str | None) -> None:
    shape = contract(id={"column": "Id", "pattern": pattern})
    frame = generate_sample(shape, rows=50)
    frame.to_excel(tmp_path / "copy.xlsx", index=False)
    frame.assign(Age="1").to_csv(tmp_path / "edited.csv", index=False)
    assert read_table(tmp_path / "copy.xlsx", shape).is_sample
    assert read_table(tmp_path / "edited.csv", shape).is_sample


def test_real_rows_beside_a_stale_sidecar_are_no_sample(tmp_path: Path) -> None:
    shape = contract(id=None)
    path = tmp_path / "customers.csv"
    write_sample(generate_sample(shape, rows=50), path, shape, seed=0)
    assert read_table(path, shape).is_sample
    path.write_text("Age,Churn\n18,No\n")
    assert not read_table(path, shape).is_sample


def test_sidecar_says_how_the_sample_was_made(tmp_path: Path) -> None:
    shape = scenario_contract()
    frame = generate_sample(shape, rows=50, seed=7, scenario="shifted")
    write_sample(frame, tmp_path / "s.csv", shape, seed=7, scenario="shifted")
    facts = json.loads((tmp_path / "s.sample.json").read_text())
    assert (facts["contract"], facts["seed"], facts["scenario"]) == ("small", 7, "shifted")
    assert facts["rows"] == 50


def test_sample_into_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    shape = contract()
    with pytest.raises(SettingsError, match="cannot be written: No such file"):
        write_sample(generate_sample(shape, rows=50), tmp_path / "a" / "s.csv", shape, seed=0)
