"""Contracts from files: found, read whole, and refused with every mistake told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedchurn.contract.load import (
    contract_digest,
    dump_contract,
    find_contract,
    list_contracts,
    load_contract,
    parse_contract,
)
from fedchurn.errors import ContractError
from tests.unit.contract.texts import SMALL


def mistakes(text: str) -> str:
    with pytest.raises(ContractError) as caught:
        parse_contract(text, "small.yaml")
    return str(caught.value)


def spoiled(old: str, new: str) -> str:
    assert SMALL.count(old) == 1, f"{old!r} is there {SMALL.count(old)} times"
    return SMALL.replace(old, new)


def test_a_sound_contract_is_read():
    contract = parse_contract(SMALL, "small.yaml")
    assert contract.columns["stars"].categories == ("1", "2", "3")
    assert contract.columns["tenure"].hard == (0, 240)
    assert contract.fallback is not None
    assert contract.fallback.rules[0].when[0].below == 3


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("columns:\n", "columms:\n", "columms: unknown key 'columms'; did you mean 'columns'?"),
        ("kind: integer", "kind: intger", "'intger' is not accepted; did you mean 'integer'?"),
        ("unit: months", "unti: months", "columns.tenure.unti: unknown key 'unti'; did you mean"),
        ("silo_column: plan", "silo_column: plam", "silo_column: unknown column 'plam'; did you"),
        ("silo_column: plan", "silo_column: tenure", "'tenure' is of kind integer; needed: categ"),
        ("value_column: charges", "value_column: plan", "'plan' is of kind category; needed: int"),
        ("{std: basic}", "{std: basik}", "'std' stands for 'basik', which is no category; did yo"),
        ("{std: basic}", "{plus: basic}", "'plus' is a category itself, so it cannot be an alias"),
        ("[0, 240]", "[240, 0]", "columns.tenure.hard: [240, 0] is not a range; the first number"),
        ("[0, 240]", "[0, .inf]", "columns.tenure.hard: [0, inf] is not a range"),
        ("[0, 240]", "[0]", "columns.tenure.hard.1: needs two numbers: [low, high]"),
        ("[0, 240]", "[0, 1, 2]", "columns.tenure.hard: needs two numbers: [low, high]"),
        ("[0, 60]", "[0, 300]", "columns.tenure.usual: [0, 300] reaches outside hard [0, 240]"),
        ("    categories: [basic, plus, max]\n", "", "a category column needs its labels"),
        ("[basic, plus, max]", "[basic, plus, max, plus]", "the label 'plus' is listed 2 times"),
        ("[basic, plus, max]", "[basic, plus, max, ' x']", "starts or ends with a blank"),
        ("[1, 2, 3]", "[1.0, 2, 3]", "rows never hold '1.0': whole numbers read as '1'"),
        ("[1, 2, 3]", "[1, ~, 3]", "columns.stars.categories.1: empty label"),
        ("{kind: category, categories: [1", "{kind: integer, categories: [1", "has no categories;"),
        ("decimals: 2", "categories: [a]", "a column of kind number has no categories; use kind"),
        ("{kind: text,", "{kind: text, hard: [0, 1],", "a column of kind text has no hard"),
        ("{kind: text,", "{kind: text, decimals: 1,", "a column of kind text has no decimals"),
        ("categories: [1, 2, 3]", "categories: [1, 2], buckets: 4", "has no buckets"),
        ("drift: ks", "drift: chi_squared", "chi_squared does not suit kind integer; use ks"),
        (
            "drift: chi_squared",
            "drift: chisquared",
            "'chisquared' is not accepted; did you mean 'chi_squared'?",
        ),
        ("    nullable: true\n", "", "null_fraction: only a nullable column has missing values"),
        ("null_fraction_warn: 0.1", "null_fraction_warn: 0.01", "0.01 is below null_fraction"),
        ("edges: [12, 24]", "edges: [24, 12]", "derived.age_of_contract: edges [24.0, 12.0] must"),
        ("labels: [new, mid, old]", "labels: [new, old]", "2 edges make 3 bins, not 2"),
        ("op: bins, column: tenure", "op: bins, column: plan", "'plan' is of kind category; need"),
        (
            "op: ratio, numerator: charges",
            "op: ratio, numerator: chargs",
            "unknown column 'chargs'",
        ),
        ("op: ratio", "op: ratios", "derived.rate: unknown op 'ratios'; did you mean 'ratio'?"),
        ("  rate: {op: ratio, n", "  plan: {op: ratio, n", "'plan' is a column already"),
        ("op: not_above", "op: notabove", "rules.order: unknown op 'notabove'; did you mean"),
        ("low: tenure", "low: tenur", "rules.order: unknown column 'tenur'; did you mean 'tenure'"),
        ("id: order", "id: maxed", "two rules have the id 'maxed'"),
        ("equals: max}", "equals: maxi}", "rules.maxed.when: 'maxi' is no category of 'plan'"),
        ("equals: max}", "equals: std}", "'std' is an alias; write its label 'basic'"),
        ("equals: max}", "above: 3}", "above cannot be used: 'plan' is of kind category"),
        ("at_least: 20", "equals: '20'", "equals cannot be used: 'charges' is of kind number"),
        ("at_least: 20", "at_least: 20, below: 5", "needs exactly one test, got at_least, below"),
        ("at_least: 20", "is_null: true", "is_null asks about 'charges', which is not nullable"),
        ("column: left", "column: plan", "target.column: 'plan' is a feature too"),
        ("negative: 'No'", "negative: 'Yes'", "positive and negative are both 'Yes'"),
        ("positive: 'Yes', negative: 'No'", "positive: 1.0, negative: 0", "it reads as '1'"),
        ("column: customer", "column: plan", "id.column: 'plan' is a feature too"),
        ("column: customer", "column: customer, pattern: '('", "is not a regular expression"),
        ("below: 0.4", "below: 1.4", "risk_bands.Low.below: Input should be less than or equal"),
        ("{name: High}", "{name: High, below: 0.8}", "the last band takes all higher"),
        ("{name: Low, below: 0.4}", "{name: Low}", "only the last band is without `below`"),
        ("- {name: High}", "- {name: Mid, below: 0.3}\n  - {name: High}", "0.3 is not above 0.4"),
        ("{rate: Offer", "{rat: Offer", "driver_recommendations.rat: unknown feature 'rat'; did y"),
        (
            "column: tenure, below",
            "column: tenur, below",
            "fallback.rules.New customer.when: unkno",
        ),
        ("base_rate: 0.2", "base_rate: 0.99", "base_rate 0.99 is above max_probability 0.95"),
        ("weights: [0.5, 0.3, 0.2]", "weights: [0.5, 0.5]", "2 weights for 3 categories"),
        ("weights: [0.5, 0.3, 0.2]", "weights: [0.5, 0.3, 0.1]", "must be shares that add up to 1"),
        ("effects: {plus: 0.5}", "effects: {pluss: 0.5}", "effects name 'pluss', which is no cat"),
        ("mean: 10", "mean: 1000", "mean 1000 is outside hard [0, 240]"),
        ("mean: 10", "weights: [1]", "weights and effects belong to categories"),
        (
            "{charges: [200, 300]}",
            "{charge: [200, 300]}",
            "sample.scenarios.dear.ranges.charge: un",
        ),
        ("{charges: [200, 300]}", "{charges: [200, 3000]}", "[200, 3000] reaches outside hard"),
        ("{plan: {max: 1}}", "{plan: {maxx: 1}}", "'maxx' is no category of 'plan'; did you mean"),
        ("{plan: {max: 1}}", "{plan: {max: 0}}", "one must be above 0"),
        ("contract: small", "contract: Small One", "needs a short name in lower-case letters"),
        ("version: 1.0.0", "version: 1.0", "version: needs text; got 1.0; put it in quotes"),
        ("  stars: {", "  plan: {", "columns.plan: the key 'plan' is written twice"),
        ("kind: integer", "kind: 7", "columns.tenure.kind: 7 is not accepted"),
        (
            "sample: {mean: 10, spread: 8, effect: -1}",
            "sample: 5",
            "needs a mapping with keys such",
        ),
    ],
)
def test_a_mistake_is_told_with_place_value_and_next_name(old: str, new: str, told: str):
    message = mistakes(spoiled(old, new))
    assert told in message
    assert message.startswith("small.yaml: ")
    assert "line " in message


def test_the_line_is_that_of_the_mistake():
    line = SMALL.splitlines().index("    hard: [0, 240]") + 1
    assert f"line {line}: columns.tenure.hard" in mistakes(spoiled("[0, 240]", "[9, 1]"))


def test_bare_no_and_yes_are_explained():
    message = mistakes(spoiled("[basic, plus, max]", "[No, basic, plus, max]"))
    assert "YAML reads a bare No as true or false" in message
    assert "write it in quotes: 'No'" in message


def test_a_bare_yes_is_explained_as_a_key_and_as_a_condition():
    assert "write it in quotes: 'No'" in mistakes(spoiled("effects: {plus:", "effects: {No:"))
    assert "write it in quotes: 'Yes'" in mistakes(spoiled("equals: max}", "equals: Yes}"))


def test_truth_keys_take_bare_yes():
    assert parse_contract(spoiled("buckets: 8, nullable: true", "nullable: yes"), "f")


def test_numbers_in_categories_keep_their_spelling():
    contract = parse_contract(spoiled("[1, 2, 3]", "[01001, 1e3, 2024-01-31]"), "f")
    assert contract.columns["stars"].categories == ("01001", "1e3", "2024-01-31")


def test_all_mistakes_are_told_at_once_in_order_of_lines():
    text = SMALL.replace("[0, 240]", "[240, 0]").replace("columns:\n", "columms:\n")
    text = text.replace("equals: max}", "equals: maxi}").replace("op: not_above", "op: notabove")
    message = mistakes(text.replace("base_rate: 0.2", "base_rate: 2").replace("[1, 2, 3]", "[No]"))
    assert message.startswith("small.yaml: 6 problems:")
    lines = [int(part.split(":")[0]) for part in message.split("line ")[1:]]
    assert lines == sorted(lines)


def test_a_broken_column_is_not_reported_as_unknown_elsewhere():
    message = mistakes(spoiled("kind: integer", "kind: intger"))
    assert "unknown column" not in message
    assert "problems" not in message


def test_an_empty_contract_is_told_what_it_lacks():
    message = mistakes("contract: x\n")
    for key in ("version", "target", "columns"):
        assert f"{key}: this key is required" in message


@pytest.mark.parametrize("text", ["- a list", "just text", "", "42"])
def test_a_file_without_keys_is_refused(text: str):
    assert "holds no mapping of keys" in mistakes(text)


def test_yaml_that_is_no_yaml_names_the_line():
    assert "not valid YAML: line 12, column" in mistakes(spoiled("[0, 240]", "[0, 240"))


def test_an_anchor_that_holds_itself_is_refused():
    assert "nested too deeply" in mistakes(SMALL + "shared: &a [*a]\n")


def test_anchors_under_shared_can_be_merged():
    text = SMALL.replace(
        "  stars: {kind: category, categories: [1, 2, 3]}",
        "  stars: {<<: *flag, label: Stars}",
    )
    text = "shared:\n  flag: &flag {kind: category, categories: [1, 2, 3]}\n" + text
    assert parse_contract(text, "f").columns["stars"].categories == ("1", "2", "3")


def test_contracts_are_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "configs" / "contracts"
    folder.mkdir(parents=True)
    (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert find_contract("small") == folder / "small.yaml"
    assert load_contract("small") == load_contract(folder / "small.yaml")
    assert set(list_contracts()) == {"ecommerce", "small", "telco", "telecom"}


def test_the_working_directory_comes_before_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "configs" / "contracts"
    folder.mkdir(parents=True)
    (folder / "telco.yaml").write_text(SMALL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_contract("telco").contract == "small"


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(
        ContractError, match="unknown contract 'ecomerce'; did you mean 'ecommerce'"
    ):
        load_contract("ecomerce")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ContractError, match=r"nowhere\.yaml: there is no contract file"):
        load_contract(tmp_path / "nowhere.yaml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ContractError, match=r"binary\.yaml: the contract cannot be read"):
        load_contract(path)


@pytest.mark.parametrize("name", ["ecommerce", "telco", "telecom"])
def test_dump_reads_back_equal(name: str):
    contract = load_contract(name)
    assert parse_contract(dump_contract(contract), "dump") == contract


def test_an_inconsistent_contract_is_not_dumped():
    contract = parse_contract(SMALL, "f")
    with pytest.raises(ContractError, match="unknown column 'nowhere'"):
        dump_contract(contract.model_copy(update={"silo_column": "nowhere"}))


def test_the_digest_ignores_layout_and_sees_content():
    digest = contract_digest(parse_contract(SMALL, "f"))
    assert len(digest) == 64
    assert contract_digest(parse_contract("# a comment\n\n" + SMALL, "g")) == digest
    assert contract_digest(parse_contract(spoiled("[0, 60]", "[0, 61]"), "f")) != digest


def test_the_digest_sees_the_order_of_columns():
    charges = "  charges: {kind: number, hard: [0, 1000], usual: [10, 100], decimals: 2}\n"
    moved = SMALL.replace(charges, "").replace("columns:\n", "columns:\n" + charges)
    digests = {contract_digest(parse_contract(text, "f")) for text in (SMALL, moved)}
    assert len(digests) == 2


def test_what_the_service_imports_leaves_pandas_alone():
    modules = "load, customer_rows, conditions, explain"
    code = (
        f"import sys; from fedchurn.contract import {modules}; load.load_contract('telco');"
        "sys.exit(bool({'pandas', 'scipy'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.returncode == 0
