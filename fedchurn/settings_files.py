"""Reads settings from files and ``--set`` texts, with errors a person can act on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

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
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"is not text in UTF-8 (byte {error.start + 1})",
            where=str(path),
            next_step="check the path given to --config, or save the file as UTF-8",
        ) from error
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise SettingsError(
            f"is not YAML: {error}", where=str(path), next_step="write lines like seed: 7"
        ) from error
    if not isinstance(content, dict):
        raise SettingsError(
            f"holds a {type(content).__name__}, not key: value lines",
            where=str(path),
            next_step="write lines like seed: 7",
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
                    f"a list of {len(items)} has no item {key!r}",
                    where="training",
                    next_step=f"items are counted from 0: the last is {len(items) - 1}",
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
        raise SettingsError(
            f"the value of {text!r} is not YAML",
            where="--set",
            next_step="put the text in quotes: --set 'key=\"text\"'",
        ) from error
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    result: dict[str, Any] = _merged(merged, value)
    return result


def refuse_secrets(settings: Settings) -> Settings:
    """The settings, if no place in them holds a password; runs write settings down.

    Raises:
        SettingsError: a URL holds a password; it is not shown.
    """
    for location in (settings.data.location, *settings.data.clients):
        if location and _has_password(location):
            raise SettingsError(
                "the URL of the data holds a password, which Prefect and MLflow would write down",
                where="data.location",
                next_step="put the URL into an environment variable and give --data env:NAME",
            )
    if settings.tracking.uri and _has_password(settings.tracking.uri):
        raise SettingsError(
            "the tracking URI holds a password, which would be written down",
            where="tracking.uri",
            next_step="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead",
        )
    return settings


def _has_password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:
        return False


def _validated(merged: dict[str, Any], where: str) -> Settings:
    try:
        return refuse_secrets(Settings.model_validate(merged))
    except ValidationError as error:
        problems = [_problem(e) for e in _causes(error)]
        raise SettingsError(
            "; ".join(what for what, _ in problems),
            where=where,
            next_step="; ".join(dict.fromkeys(step for _, step in problems)),
        ) from error


def _causes(error: ValidationError) -> list[Any]:
    """All problems; a list that is too short only because its items are wrong is not one more."""
    found = error.errors()
    return [e for e in found if e["type"] != "too_short"] or found


def _problem(error: Any) -> tuple[str, str]:
    """What is wrong, and the next step."""
    keys, models = _place(error["loc"])
    path = ".".join(keys)
    if error["type"] == "extra_forbidden":
        accepted = _accepted_keys(_place(error["loc"][:-1])[1])
        return f"unknown setting {path!r}", nearest(keys[-1], accepted)
    if error["type"] == "union_tag_invalid":
        key, tag = str(error["ctx"]["discriminator"]).strip("'"), str(error["ctx"]["tag"])
        return f"{path}.{key} = {tag!r} is not known", nearest(tag, _literals(models, key))
    return f"{path} = {error['input']!r}: {error['msg']}", f"correct the value of {path}"


def _place(location: Sequence[str | int]) -> tuple[list[str], list[type[BaseModel]]]:
    """Keys as people write them, and the records that may stand there.

    Pydantic names the branch of a tagged union inside the location; people do not write it.
    """
    keys: list[str] = []
    models: list[type[BaseModel]] = [Settings]
    for part in location:
        tagged = [m for m in models if part in _all_literals(m)]
        if tagged and not any(part in m.model_fields for m in models):
            models = tagged
            continue
        keys.append(str(part))
        fields = [m.model_fields[str(part)] for m in models if str(part) in m.model_fields]
        models = [inner for f in fields for inner in _models(f.annotation)] or models
    return keys, models


def _accepted_keys(models: Sequence[type[BaseModel]]) -> list[str]:
    return sorted({key for model in models for key in model.model_fields})


def _literals(models: Sequence[type[BaseModel]], key: str) -> list[str]:
    fields = [m.model_fields[key] for m in models if key in m.model_fields]
    return [str(value) for f in fields for value in get_args(f.annotation)]


def _all_literals(model: type[BaseModel]) -> list[Any]:
    return [value for f in model.model_fields.values() for value in get_args(f.annotation)]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models(arg)]
