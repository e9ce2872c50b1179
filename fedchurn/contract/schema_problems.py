"""Plain data to a Contract; what pydantic objects to becomes problems a person can act on."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fedchurn.contract.document import NAME_KEYS
from fedchurn.contract.problems import Path, Problem
from fedchurn.contract.schema import Contract
from fedchurn.errors import nearest

_MAX_REPAIRS = 20
_ITEMS = ("columns", "derived", "rules", "risk_bands")
_PATTERN_WORDS: dict[str | int, str] = {
    "contract": "a short name in lower-case letters, digits, - and _, such as ecommerce",
    "version": "three numbers, such as 1.0.0",
}
_STAND_INS: dict[str | int, Any] = {
    "contract": "unnamed",
    "version": "0.0.0",
    "target": {"column": "", "positive": "1", "negative": "0"},
}


def read_contract(data: Any) -> tuple[Contract | None, list[Problem], frozenset[str]]:
    """Validate ``data``; after a problem, go on with the parts that are sound.

    Returns:
        The contract (of the sound parts if there are problems; None if too little is left), the
        problems, and the names of columns and derived features that were left out for them.
    """
    problems: list[Problem] = []
    left_out: set[str] = set()
    data = copy.deepcopy(data)
    for _ in range(_MAX_REPAIRS):
        try:
            return Contract.model_validate(data), problems, frozenset(left_out)
        except ValidationError as error:
            details = _unknown_keys_first(error.errors(include_url=False))
            problems += [_problem(detail, data) for detail in details]
            _repair(data, details, left_out)
        mended = details[0]["type"] == "extra_forbidden"
        if not mended and not (isinstance(data.get("columns"), dict) and data["columns"]):
            break
    return None, problems, frozenset(left_out)


def _unknown_keys_first(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Mistyped keys alone, if any: a missing key is often the mistyped one."""
    return [d for d in details if d["type"] == "extra_forbidden"] or details


def _repair(data: Any, details: list[ErrorDetails], left_out: set[str]) -> None:
    """Mend mistyped keys as suggested; take other bad parts away, or put a stand-in there."""
    doomed: set[tuple[str, str | int]] = set()
    for detail in details:
        path = _data_path(detail["loc"], data)
        if detail["type"] == "extra_forbidden":
            _mend_key(_at(data, path[:-1]), str(path[-1]), _schema_at(detail["loc"])["known"])
        elif path[0] in _ITEMS and len(path) > 1:
            doomed.add((str(path[0]), path[1]))
        elif path[0] in _STAND_INS:
            data[path[0]] = copy.deepcopy(_STAND_INS[path[0]])
        else:
            data.pop(path[0], None)
    for section, key in sorted(doomed, key=lambda pair: str(pair[1]).zfill(9), reverse=True):
        del data[section][key]
        if section in ("columns", "derived"):
            left_out.add(str(key))


def _mend_key(parent: dict[str, Any], key: str, known: list[str]) -> None:
    value = parent.pop(key)
    close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    if close and close[0] not in parent:
        parent[close[0]] = value


def _problem(detail: ErrorDetails, data: Any) -> Problem:
    loc, path = detail["loc"], _data_path(detail["loc"], data)
    return Problem(_named(path, data), _message(detail, _schema_at(loc), path))


def _message(detail: ErrorDetails, schema: Mapping[str, Any], path: Path) -> str:
    value, context = detail["input"], detail.get("ctx", {})
    shown = json.dumps(value, default=str) if not isinstance(value, dict) else "a mapping"
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key {path[-1]!r}; {nearest(str(path[-1]), schema.get('known', ()))}"
        case "missing" if isinstance(path[-1], int):
            return "needs two numbers: [low, high]"
        case "too_long" if "prefixItems" in schema:
            return f"needs two numbers: [low, high]; got {shown}"
        case "missing":
            return "this key is required"
        case "literal_error":
            return f"{value!r} is not accepted; {nearest(str(value), schema.get('enum', ()))}"
        case "union_tag_invalid":
            tags = [t.strip(" '") for t in str(context["expected_tags"]).split(",")]
            return f"unknown op {context['tag']!r}; {nearest(str(context['tag']), tags)}"
        case "union_tag_not_found":
            return f"needs the key `op`, one of: {', '.join(schema.get('tags', ()))}"
        case "model_type" | "model_attributes_type" | "dict_type":
            keys = ", ".join(schema.get("known", ()))
            return f"needs a mapping{f' with keys such as {keys}' if keys else ''}; got {shown}"
        case "string_type":
            return f"needs text; got {shown}; put it in quotes"
        case "string_pattern_mismatch":
            return f"needs {_PATTERN_WORDS.get(path[-1], 'another form')}; got {shown}"
    return f"{detail['msg']}; got {shown}"


def _data_path(loc: tuple[str | int, ...], data: Any) -> Path:
    """``loc`` without the tags that pydantic puts in for a union, which the file does not have."""
    path: list[str | int] = []
    for part in loc:
        if _is_tag(path, part, data):
            continue
        path.append(part)
    return tuple(path)


def _is_tag(path: list[str | int], part: str | int, data: Any) -> bool:
    inside = len(path) == 2 and path[0] in ("rules", "derived")
    if not inside:
        return part == "[key]"
    item = _at(data, tuple(path))
    return isinstance(item, dict) and part == item.get("op") and part not in item


def _named(path: Path, data: Any) -> Path:
    """The path with list items called by their id, name or reason where they have one."""
    named: list[str | int] = []
    for length, part in enumerate(path):
        item = _at(data, path[: length + 1]) if isinstance(part, int) else None
        names = [item[k] for k in NAME_KEYS if k in item] if isinstance(item, dict) else []
        named.append(str(names[0]) if names else part)
    return tuple(named)


def _at(data: Any, path: Path) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


@lru_cache(maxsize=1)
def _contract_schema() -> dict[str, Any]:
    return Contract.model_json_schema()


def _schema_at(loc: tuple[str | int, ...]) -> dict[str, Any]:
    """The schema of the value at ``loc``, or, for an unknown key, of the mapping that holds it."""
    root = _contract_schema()
    here = _resolve(root, root)
    for part in loc:
        following = _step(here, part, root)
        if following is None:
            break
        here = following
    known = [k for k in here.get("properties", {}) if k != "shared"]
    return {**here, "known": known, "tags": list(here.get("discriminator", {}).get("mapping", {}))}


def _step(here: dict[str, Any], part: str | int, root: dict[str, Any]) -> dict[str, Any] | None:
    tagged = here.get("discriminator", {}).get("mapping", {})
    if part in tagged:
        return _resolve({"$ref": tagged[part]}, root)
    if part in here.get("properties", {}):
        return _resolve(here["properties"][part], root)
    inner = here.get("items") if isinstance(part, int) else here.get("additionalProperties")
    return _resolve(inner, root) if isinstance(inner, dict) else None


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return _resolve(root["$defs"][name], root)
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return _resolve(option, root)
    return schema
