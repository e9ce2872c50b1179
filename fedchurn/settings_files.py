"""Reads settings from files and ``--set`` texts, with errors a person can act on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from fedchurn.errors import SettingsError, nearest
from fedchurn.settings import Settings

PROJECT = Path(__file__).resolve().parents[1]


def config_folder(name: str) -> Path:
    """``configs/NAME`` of the current folder if there is one, else of the installed project."""
    local = Path("configs") / name
    return local if local.is_dir() else PROJECT / "configs" / name


def load_settings(
    config: Path | None = None,
    assignments: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from all layers; see ``fedchurn.settings``.

    Args:
        config: a YAML file, or None.
        assignments: texts like ``training.phases.0.num_rounds=5``.
        values: nested values that win over the file but not over ``assignments``.

    Raises:
        SettingsError: a file is missing or not YAML, a key is unknown or a value is out of range.
    """
    merged = _merged(environment_layer(os.environ), _yaml_file(config) if config else {})
    merged = _merged(merged, dict(values or {}))
    for text in assignments:
        merged = _assigned(merged, text)
    recipe = str(merged.get("recipe", Settings.model_fields["recipe"].default))
    merged["training"] = _training(recipe, merged.get("training", {}))
    return _validated(merged, str(config) if config else "settings")


def environment_layer(environ: Mapping[str, str]) -> dict[str, Any]:
    """Places that the environment names: ``FEDCHURN_HOME`` and ``MLFLOW_TRACKING_URI``."""
    layer: dict[str, Any] = {}
    if environ.get("FEDCHURN_HOME"):
        layer["home"] = environ["FEDCHURN_HOME"]
    if environ.get("MLFLOW_TRACKING_URI"):
        layer["tracking"] = {"uri": environ["MLFLOW_TRACKING_URI"]}
    return layer


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in config_folder("recipes").glob("*.yaml"))


def _training(recipe: str, overrides: Any) -> Any:
    path = config_folder("recipes") / f"{recipe}.yaml"
    if not path.is_file():
        raise SettingsError(
            f"unknown recipe {recipe!r}",
            where="recipe",
            next_step=nearest(recipe, recipe_names()),
        )
    return _merged(_yaml_file(path), overrides)


def _yaml_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            next_step="check the path given to --config",
        ) from error
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"is not YAML: {error}", where=str(path)) from error
    if not isinstance(content, dict):
        raise SettingsError(
            f"holds a {type(content).__name__}, not key: value lines", where=str(path)
        )
    return content


def _merged(below: Any, above: Any) -> Any:
    """``above`` over ``below``: mappings are merged, list items are addressed by index keys."""
    if isinstance(below, dict) and isinstance(above, Mapping):
        keys = [*below, *(k for k in above if k not in below)]
        return {
            k: _merged(below[k], above[k])
            if k in below and k in above
            else above.get(k, below.get(k))
            for k in keys
        }
    if isinstance(below, list) and isinstance(above, Mapping):
        items = list(below)
        for key, value in above.items():
            index = int(key) if str(key).isdigit() else -1
            if not 0 <= index < len(items):
                raise SettingsError(
                    f"index {key!r} does not exist",
                    where="training",
                    next_step=f"use 0 to {len(items) - 1}",
                )
            items[index] = _merged(items[index], value)
        return items
    return above


def _assigned(merged: dict[str, Any], text: str) -> dict[str, Any]:
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(
            f"{text!r} is not key=value", where="--set", next_step="write for example --set seed=7"
        )
    try:
        value: Any = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise SettingsError(f"the value of {text!r} is not YAML", where="--set") from error
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    result: dict[str, Any] = _merged(merged, value)
    return result


def _validated(merged: dict[str, Any], where: str) -> Settings:
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        lines = [_problem(e) for e in error.errors() if e["type"] != "too_short"]
        raise SettingsError(
            "; ".join(line for line, _ in lines),
            where=where,
            next_step="; ".join(dict.fromkeys(step for _, step in lines if step)),
        ) from error


def _problem(error: Any) -> tuple[str, str]:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown setting {path!r}", nearest(str(error["loc"][-1]), _keys(error["loc"][:-1]))
    return f"{path} = {error['input']!r}: {error['msg']}", ""


def _keys(path: Sequence[Any]) -> list[str]:
    """Accepted keys of the record at a path, through lists and tagged unions."""
    model: type[BaseModel] = Settings
    for part in path:
        field = model.model_fields.get(str(part))
        models = _models(field.annotation) if field else []
        if len(models) == 1:
            model = models[0]
        elif models:
            return sorted({key for m in models for key in m.model_fields})
    return sorted(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models(arg)]
