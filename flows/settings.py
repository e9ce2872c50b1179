"""Flow parameters to settings; the same for every flow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fedchurn.quiet import apply_quiet_environment
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings


def flow_settings(
    contract: str | None,
    data: str | list[str] | None,
    recipe: str | None,
    config: str | None,
    assignments: list[str] | None,
) -> Settings:
    """Settings behind a flow's parameters.

    Args:
        contract: name or path of the contract.
        data: a file or SQLAlchemy URL, or one file per client; None is the sample.
        recipe: name of a training recipe.
        config: YAML file with settings.
        assignments: texts like ``seed=7``.
    """
    apply_quiet_environment(os.environ)
    values: dict[str, Any] = {}
    if contract is not None:
        values["contract"] = contract
    if recipe is not None:
        values["recipe"] = recipe
    if isinstance(data, list):
        values["data"] = {"clients": data}
    elif data is not None:
        values["data"] = {"location": data}
    return load_settings(Path(config) if config else None, assignments or (), values)
