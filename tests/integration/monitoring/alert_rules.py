"""The shipped alert rules, as tests see them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3]
MONITORING = PROJECT / "infra" / "monitoring"
RULES = MONITORING / "rules"
_WORDS = {"by", "on", "or", "and", "unless", "offset", "bool", "group_left", "ignoring", "without"}


def program(*names: str) -> str:
    """The path of the first that is installed; skips the test otherwise."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no `{names[0]}` on PATH (Debian: prometheus, prometheus-alertmanager)")
    return found


def shipped_rules() -> list[dict[str, Any]]:
    """Alerting and recording rules in their order."""
    groups = yaml.safe_load((RULES / "fedchurn.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in shipped_rules() if "alert" in rule]


def metric_names(expression: str) -> set[str]:
    """Names of series that an expression asks for; those of its own recording rules included."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\boffset\s+\w+", " ", bare)
    found = re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)(?!\w|\s*\()", bare)
    return {name for name in found if name not in _WORDS}


def asked_metrics() -> set[str]:
    """What the rules ask of services, without ``up`` and without what they record themselves."""
    found = set().union(*(metric_names(rule["expr"]) for rule in shipped_rules()))
    return found - {"up"} - {rule.get("record") for rule in shipped_rules()}
