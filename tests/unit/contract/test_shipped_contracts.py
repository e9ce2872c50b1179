"""The shipped contracts: complete, in step with guide and schema, and true to the real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml

from fedchurn.contract.column_tables import with_tables
from fedchurn.contract.columns import features
from fedchurn.contract.conditions import rule_holds
from fedchurn.contract.customer_rows import canonical_row, row_columns
from fedchurn.contract.document import TRUTH_KEYS
from fedchurn.contract.explain import explain_contract
from fedchurn.contract.json_schema import contract_json_schema
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract

PROJECT = Path(__file__).resolve().parents[3]
NAMES = ["ecommerce", "telco", "telecom"]
FILES = {
    "ecommerce": "E_Commerce_Dataset.xlsx",
    "telco": "Telco-Customer-Churn.csv",
    "telecom": "churnguard_churn.csv",
}


def read_real(name: str, folder: Path) -> pd.DataFrame:
    path = folder / FILES[name]
    if path.suffix == ".xlsx":
        return pd.read_excel(path, sheet_name=load_contract(name).source.sheet)
    return pd.read_csv(path, na_filter=False)


@pytest.mark.parametrize(
    ("name", "num_columns", "num_derived"),
    [("ecommerce", 18, 0), ("telco", 19, 0), ("telecom", 13, 3)],
)
def test_sizes(name: str, num_columns: int, num_derived: int):
    contract = load_contract(name)
    assert contract.contract == name
    assert len(contract.columns) == num_columns
    assert len(contract.derived) == num_derived
    assert len(features(contract)) == num_columns + num_derived


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_complete(name: str):
    contract = load_contract(name)
    for column in contract.columns.values():
        assert column.label
        assert column.group
        assert column.drift
        assert column.sample is not None
        if column.is_number:
            assert column.hard
            assert column.usual
            assert column.unit
            assert column.sample.mean is not None
        else:
            assert column.sample.weights is not None
            assert set(column.sample.effects) <= set(column.categories or ())
        if column.nullable:
            assert column.null_fraction is not None
            assert column.null_fraction_warn is not None


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_complete(name: str):
    contract = load_contract(name)
    assert [band.name for band in contract.risk_bands] == ["Low", "Medium", "High"]
    assert all(band.recommendations for band in contract.risk_bands)
    assert contract.fallback is not None
    assert contract.fallback.rules
    assert contract.target.rate is not None
    assert contract.fallback.base_rate == pytest.approx(contract.target.rate, abs=0.01)
    assert {"tenure_plus_10", "tenure_plus_30", "one_category_doubled"} <= set(
        contract.sample.scenarios
    )


def test_risk_limits_are_those_of_the_reference_systems():
    limits = {n: [b.below for b in load_contract(n).risk_bands] for n in NAMES}
    assert limits == {
        "ecommerce": [0.4, 0.7, None],
        "telco": [0.3, 0.6, None],
        "telecom": [0.35, 0.6, None],
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_middle_of_every_column_is_a_sound_row(name: str):
    contract = load_contract(name)
    row = {
        n: c.categories[0] if c.categories else round(sum(c.usual or (0, 0)) / 2)
        for n, c in contract.columns.items()
    }
    judged = canonical_row(row, contract)
    assert judged.problems == ()
    assert {f.name for f in features(contract)} == set(row_columns(judged.values, contract))


@pytest.mark.parametrize("name", NAMES)
def test_scenarios_stay_within_hard_limits(name: str):
    contract = load_contract(name)
    for scenario in contract.sample.scenarios.values():
        for column, limits in scenario.ranges.items():
            for value in limits:
                assert canonical_row({column: value}, contract).values[column] == value


def test_telecom_derives_what_the_reference_system_derives():
    contract = load_contract("telecom")
    row: dict[str, Any] = {n: (c.categories or ("0",))[0] for n, c in contract.columns.items()}
    row |= {"age": 65, "tenure_months": 0, "monthly_charges": 19.99, "num_tickets": 3}
    columns = row_columns(canonical_row(row, contract).values, contract)
    assert columns["senior_citizen"].tolist() == [1]
    assert columns["total_charges"].tolist() == [0.0]
    assert columns["ticket_rate"].tolist() == [36.0]
    row |= {"age": 64, "tenure_months": 7}
    columns = row_columns(canonical_row(row, contract).values, contract)
    assert columns["senior_citizen"].tolist() == [0]
    assert columns["total_charges"].tolist() == [139.93]
    assert columns["ticket_rate"].tolist() == [5.1429]


@pytest.mark.parametrize("name", NAMES)
def test_explain_names_every_column_rule_and_band(name: str):
    contract = load_contract(name)
    text = explain_contract(contract)
    named = [*contract.columns, *contract.derived, *(r.id for r in contract.rules)]
    for word in [*named, *(b.name for b in contract.risk_bands), contract.target.column]:
        assert word in text
    assert max(map(len, text.splitlines())) < 160


def test_the_guide_is_up_to_date():
    guide = (PROJECT / "docs" / "contracts.md").read_text(encoding="utf-8")
    assert guide == with_tables(guide), (
        "run: python -m fedchurn.contract.column_tables docs/contracts.md"
    )
    for name in NAMES:
        assert all(f"`{column}`" in guide for column in load_contract(name).columns)


def test_the_guide_names_every_key():
    guide = (PROJECT / "docs" / "contracts.md").read_text(encoding="utf-8")
    defined = contract_json_schema()
    for key in [*defined["properties"], *defined["$defs"]["Column"]["properties"]]:
        assert f"`{key}`" in guide


def test_the_shipped_schema_is_up_to_date():
    shipped = json.loads((PROJECT / "configs" / "contract.schema.json").read_text("utf-8"))
    assert shipped == contract_json_schema(), "run: python -m fedchurn.contract.json_schema"


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_contracts_obey_the_schema(name: str):
    text = (PROJECT / "configs" / "contracts" / f"{name}.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=../contract.schema.json\n")
    data = json.loads(json.dumps(yaml.safe_load(text)))
    jsonschema.Draft202012Validator(contract_json_schema()).validate(data)


def test_the_schema_marks_a_mistyped_key():
    data = yaml.safe_load((PROJECT / "configs/contracts/telco.yaml").read_text("utf-8"))
    data["columns"]["tenure"]["hrad"] = [0, 1]
    errors = list(jsonschema.Draft202012Validator(contract_json_schema()).iter_errors(data))
    assert len(errors) == 1
    assert "hrad" in errors[0].message


def test_truth_keys_are_those_of_the_schema():
    found: set[str] = set()
    for record in [Contract.model_json_schema(), *Contract.model_json_schema()["$defs"].values()]:
        for key, described in record.get("properties", {}).items():
            kinds = [described, *described.get("anyOf", ())]
            found |= {key for kind in kinds if kind.get("type") == "boolean"}
    assert found == TRUTH_KEYS


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_every_real_row_obeys_its_contract(name: str, real_data_dir: Path):
    contract = load_contract(name)
    frame = read_real(name, real_data_dir)
    assert len(frame) == contract.source.rows
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    judged = [canonical_row({str(k): v for k, v in row.items()}, contract) for row in rows]
    assert [row.problems for row in judged if row.problems] == []
    assert [row.warnings for row in judged if row.warnings] == []
    for rule in contract.rules:
        assert all(rule_holds(rule, row.values) for row in judged), rule.id


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_the_contract_states_what_the_real_file_holds(name: str, real_data_dir: Path):
    contract = load_contract(name)
    frame = read_real(name, real_data_dir).replace(r"^\s*$", np.nan, regex=True)
    rate = (frame[contract.target.column].astype(str) == contract.target.positive).mean()
    assert rate == pytest.approx(contract.target.rate, abs=5e-5)
    expected = {*contract.columns, contract.target.column}
    assert set(frame.columns) == expected | ({contract.id.column} if contract.id else set())
    for column_name, column in contract.columns.items():
        values = frame[column_name]
        share = values.isna().mean()
        assert share == pytest.approx(column.null_fraction or 0.0, abs=5e-5), column_name
        if column.is_number:
            numbers = values.astype(float)
            assert (numbers.min(), numbers.max()) == column.usual, column_name
            assert column.sample is not None
            assert numbers.mean() == pytest.approx(column.sample.mean, rel=0.02), column_name
            assert numbers.std() == pytest.approx(column.sample.spread, rel=0.05), column_name
        else:
            labels = values.astype(str).replace(column.aliases)
            shares = labels.value_counts(normalize=True)
            assert column.sample is not None
            weights = dict(zip(column.categories or (), column.sample.weights or (), strict=True))
            assert set(shares.index) == set(weights), column_name
            for label, weight in weights.items():
                assert shares[label] == pytest.approx(weight, abs=0.01), column_name
