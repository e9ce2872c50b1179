"""JSON Schema of contracts, for editors: completion, hints and marks while one is written.

``python -m fedchurn.contract.json_schema > configs/contract.schema.json`` writes the shipped copy.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from fedchurn.contract.document import LABEL_KEYS
from fedchurn.contract.schema import Contract

_TEXT_OR_NUMBER = ["string", "number"]


def contract_json_schema() -> dict[str, Any]:
    """The schema of a contract file, with the descriptions of ``fedchurn.contract.schema``.

    Labels may be written as numbers, and ranges are lists of two numbers, in every JSON Schema
    draft that editors know. What a schema cannot say (names that must exist, limits that must
    agree) is left to ``fedchurn contract check``.
    """
    schema = Contract.model_json_schema()
    _adapt(schema, "")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Fedchurn contract",
        "description": "Definition of a customer row; docs/contracts.md is the guide.",
    }


def schema_text() -> str:
    """The schema as the text of ``configs/contract.schema.json``."""
    return json.dumps(contract_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _adapt(part: Any, key: str) -> None:
    """Walk the schema; ``key`` is the contract key that ``part`` describes."""
    if isinstance(part, list):
        for item in part:
            _adapt(item, key)
    if not isinstance(part, dict):
        return
    if "prefixItems" in part:
        part["items"] = part.pop("prefixItems")[0]
    if key in LABEL_KEYS and part.get("type") == "string":
        part["type"] = _TEXT_OR_NUMBER
    for name, inner in part.items():
        if name == "properties":
            for own_key, described in inner.items():
                _adapt(described, own_key)
        elif name == "$defs":
            for described in inner.values():
                _adapt(described, "")
        elif name in ("anyOf", "oneOf", "items", "additionalProperties"):
            _adapt(inner, key)
    if key == "aliases" and isinstance(part.get("additionalProperties"), dict):
        part["additionalProperties"]["type"] = _TEXT_OR_NUMBER


if __name__ == "__main__":
    sys.stdout.write(schema_text())
