"""A table that the project has never seen: drafted, trained and judged without a line of code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedchurn.contract.load import load_contract
from tests.e2e.fedchurn_command import fedchurn

pytestmark = pytest.mark.e2e
NUM_ROWS = 900


def gym_members() -> pd.DataFrame:
    """Members of a gym: nothing here is like the shipped contracts.

    Members leave who come seldom, have a monthly plan, or never told their body weight.
    """
    random = np.random.default_rng(99)
    visits = random.gamma(2.0, 2.0, NUM_ROWS).round(1)
    plan = random.choice(["monthly, flex", "yearly", "two-year"], NUM_ROWS, p=[0.5, 0.3, 0.2])
    weight = random.normal(74, 12, NUM_ROWS).round(0)
    silent = random.random(NUM_ROWS) < 0.15
    logit = 0.6 - 0.8 * visits + 1.6 * (plan == "monthly, flex") + 1.8 * silent
    leaves = random.random(NUM_ROWS) < 1 / (1 + np.exp(-logit))
    joined = pd.Timestamp("2019-01-01") + pd.to_timedelta(random.integers(0, 2000, NUM_ROWS), "D")
    return pd.DataFrame(
        {
            "Member No.": [f"M-{number:05d}" for number in random.permutation(NUM_ROWS)],
            "Joined on": joined.strftime("%d/%m/%Y"),
            "Visits per week (avg)": visits,
            "Plan": plan,
            "Body weight [kg]": pd.Series(weight).astype("Int64").mask(pd.Series(silent)),
            "Home studio": random.choice(["Köln", "Aachen", "Bonn"], NUM_ROWS),
            "Has locker?": random.choice(["true", "false"], NUM_ROWS),
            "Cancelled?": np.where(leaves, "Yes", "No"),
        }
    )


def test_from_an_unknown_csv_to_a_verdict(tmp_path: Path) -> None:
    gym_members().to_csv(tmp_path / "gym members.csv", index=False, sep=";")
    draft = ("contract", "draft", "gym members.csv", "--target", "Cancelled?", "--out", "gym.yaml")
    drafted = fedchurn(tmp_path, *draft, "--json")
    assert drafted.code == 0, str(drafted)
    assert drafted.last_object["path"] == "gym.yaml"

    contract = load_contract(tmp_path / "gym.yaml")
    assert contract.id is not None
    assert contract.id.column == "Member No."
    assert (contract.target.positive, contract.target.negative) == ("Yes", "No")
    assert contract.source.delimiter == ";"
    assert contract.columns["Body weight [kg]"].nullable
    assert contract.columns["Plan"].categories is not None
    assert "monthly, flex" in contract.columns["Plan"].categories

    checked = fedchurn(tmp_path, "contract", "check", "gym.yaml")
    assert checked.code == 0, str(checked)
    assert "Visits per week (avg)" in checked.out

    train = ("train", "--contract", "gym.yaml", "--data", "gym members.csv")
    settings = ("--set", "data.scheme=iid", "--set", "home=home")
    quick = ("--set", "evaluation.baselines=false")
    trained = fedchurn(tmp_path, *train, *settings, *quick, "--json")
    assert trained.code in (0, 20), str(trained)
    outcome = trained.last_object
    assert outcome["outcome"] == ("promoted" if trained.code == 0 else "refused")
    assert (outcome["rows_in"], outcome["rows_used"]) == (NUM_ROWS, NUM_ROWS)
    assert outcome["is_sample"] is False
    assert outcome["model_name"] == f"churn_prediction_model_{contract.contract}"
    assert outcome["metrics"]["roc_auc"] > 0.75, "there is something to learn"
    assert (Path(outcome["release_folder"]) / "contract.yaml").is_file()
    why = fedchurn(tmp_path, "why", outcome["version"], "--contract", "gym.yaml", *settings[2:])
    assert outcome["release_id"] in why.out
