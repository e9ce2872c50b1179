"""Imports point where .importlinter says: for every module, and in a real process."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.structure import contracts

# How a module says which framework it talks to.
FRAMEWORK_NAMES = {
    "dp_accounting": ("accountant",),
    "flwr": ("flower", "flwr", "superlink"),  # a SuperLink is Flower's
    "great_expectations": ("gx",),
    "keras": ("keras",),
    "matplotlib": ("matplotlib",),
    "mlflow": ("mlflow",),
    "prefect": ("prefect",),
    "ray": ("ray",),
    "sklearn": ("sklearn",),
    "sqlalchemy": ("sqlalchemy", "mlflow"),  # MLflow's databases are reached by it
    "tensorflow": ("keras", "tensorflow"),
}
# What must not happen while a module is imported.
AT_IMPORT = {"environ", "getenv", "mkdir", "makedirs", "basicConfig", "write_text", "open"}


@pytest.mark.parametrize("module", contracts.modules())
def test_every_module_is_on_a_side(module: str) -> None:
    patterns = [p for side in contracts.SIDES for p in contracts.entries(side, "source_modules")]
    patterns.append("fedchurn.cli.**")
    assert any(contracts.covers(p, module) for p in patterns), (
        f"{module} is in none of the contracts {contracts.SIDES}; add it to .importlinter"
    )


@pytest.mark.parametrize("entry", contracts.entries("frameworks", "ignore_imports"))
def test_a_module_that_talks_to_a_framework_is_named_for_it(entry: str) -> None:
    module, framework = (side.strip() for side in entry.split("->"))
    names = module.removesuffix(".*").split(".")[-2:]  # its own, or its folder's
    words = {word for name in names for word in name.split("_")}
    assert words & set(FRAMEWORK_NAMES[framework.split(".")[0]])


def test_no_module_has_a_name_that_says_nothing() -> None:
    for package in ("fedchurn", "flows", "tasks", "infra", "bentos"):
        for module in contracts.modules(package):
            assert not set(module.split(".")) & {"utils", "helpers", "common", "misc"}


def test_the_serving_side_stays_light_in_a_fresh_process(tmp_path: Path) -> None:
    loaded = contracts.loaded_by(contracts.modules_of("serving"), tmp_path)
    assert not loaded & set(contracts.entries("serving", "forbidden_modules"))


def test_the_command_itself_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = contracts.loaded_by(("fedchurn.cli.main",), tmp_path)
    heavy = {*contracts.entries("serving", "forbidden_modules"), "bentoml", "numpy", "sqlalchemy"}
    assert not loaded & heavy


def _statements_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when a module is imported: everything outside function bodies."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "__name__ == '__main__'":
            continue
        yield child
        yield from _statements_at_import(child)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        yield node.attr
    if isinstance(node, ast.Name):
        yield node.id


@pytest.mark.parametrize("package", ["fedchurn", "flows", "tasks", "infra", "bentos"])
def test_nothing_works_at_import(package: str) -> None:
    for path in sorted((contracts.PROJECT / package).rglob("*.py")):
        found = {
            name
            for statement in _statements_at_import(ast.parse(path.read_text()))
            for name in _names(statement)
        }
        assert not found & AT_IMPORT, f"{path}: {found & AT_IMPORT} at import"
