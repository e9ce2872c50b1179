"""prefect.yaml beside the settings: what deployments assign is known to them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fedchurn.loop.reach import rows_are_remote
from fedchurn.settings_files import load_settings
from tests.conftest import PROJECT

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(
    (PROJECT / "prefect.yaml").read_text(encoding="utf-8")
)["deployments"]
TRAININGS = [one for one in DEPLOYMENTS if one["entrypoint"] == "flows.train.train"]


@pytest.mark.parametrize("deployment", TRAININGS, ids=lambda one: str(one["name"]))
def test_only_the_superlink_trains_without_rows(deployment: dict[str, Any]) -> None:
    parameters = deployment["parameters"]
    values = {"contract": parameters["contract"]}
    settings = load_settings(None, parameters.get("assignments", ()), values)
    assert rows_are_remote(settings) == deployment["name"].endswith("-superlink")


def test_it_looks_for_keys_where_the_link_makes_them() -> None:
    from fedchurn.loop.federation_up import FOLDER

    (superlink,) = [one for one in TRAININGS if one["name"] == "ecommerce-superlink"]
    settings = load_settings(None, superlink["parameters"]["assignments"])
    keys = settings.federation.superlink.keys
    assert keys is not None
    assert keys == settings.home / FOLDER / "keys" / "driver"
