"""Contracts from and to YAML files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from fedchurn.contract.consistency import check_contract, contract_problems
from fedchurn.contract.document import read_document
from fedchurn.contract.problems import raise_problems
from fedchurn.contract.schema import Contract
from fedchurn.contract.schema_problems import read_contract
from fedchurn.errors import ContractError, nearest

FOLDER = Path("configs") / "contracts"
SUFFIXES = (".yaml", ".yml")


def load_contract(name_or_path: str | Path) -> Contract:
    """Read the contract called ``name_or_path``, or in the file of that path.

    A name is looked up as ``configs/contracts/NAME.yaml`` under the working directory, then under
    the project that this package belongs to. Anything with a suffix or a separator is a path.

    Raises:
        ContractError: there is no such contract, or it has problems (all are told).
    """
    path = find_contract(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(
            f"the contract cannot be read: {error}",
            where=str(path),
            next_step="check the path, the permissions, and that the file is UTF-8 text",
        ) from error
    return parse_contract(text, str(path))


def parse_contract(text: str, where: str) -> Contract:
    """A contract from YAML ``text``; ``where`` names its origin in errors.

    Raises:
        ContractError: the text is not YAML or not a consistent contract; all problems are told,
            each with its line, key path, value and nearest match.
    """
    document = read_document(text, where)
    contract, problems, left_out = read_contract(document.data)
    problems += document.problems
    if contract is not None:
        problems += contract_problems(contract, left_out)
    raise_problems(problems, where, document.lines)
    if contract is None:  # pragma: no cover - without a contract there are problems
        raise ContractError("no contract", where=where)
    return contract


def find_contract(name_or_path: str | Path) -> Path:
    """Path of a contract; see ``load_contract``.

    Raises:
        ContractError: no such file; the nearest shipped name is suggested.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or Path(text).suffix or "/" in text or "\\" in text:
        if Path(text).is_file():
            return Path(text)
        raise ContractError(
            "there is no contract file of this name",
            where=text,
            next_step=f"give a file, or a name: {', '.join(list_contracts()) or 'none is shipped'}",
        )
    known = list_contracts()
    if text in known:
        return known[text]
    raise ContractError(
        f"unknown contract {text!r}; {nearest(text, known)}",
        where=" or ".join(str(folder) for folder in _folders()),
        next_step="name one of these, give a path, or run `fedchurn contract draft`",
    )


def list_contracts() -> dict[str, Path]:
    """Name and path of each contract that ``load_contract`` finds by name, in order of name."""
    found: dict[str, Path] = {}
    for folder in reversed(_folders()):
        for path in sorted(folder.glob("*.y*ml")):
            if path.suffix in SUFFIXES:
                found[path.stem] = path
    return dict(sorted(found.items()))


def _folders() -> tuple[Path, ...]:
    project = Path(__file__).resolve().parents[2]
    return tuple(dict.fromkeys((Path.cwd() / FOLDER, project / FOLDER)))


def contract_digest(contract: Contract) -> str:
    """sha256 (hex) of the contract's canonical JSON: equal for equal contracts, on any machine.

    Columns keep their order, which is the order of features; formatting and comments of the YAML
    file do not matter.
    """
    text = json.dumps(contract.model_dump(mode="json"), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def dump_contract(contract: Contract) -> str:
    """``contract`` as YAML text that ``parse_contract`` reads back to an equal contract.

    Raises:
        ContractError: the contract is inconsistent, so that it could not be read back.
    """
    check_contract(contract, f"contract {contract.contract!r}")
    data = contract.model_dump(mode="json", exclude_defaults=True)
    for rule, record in zip(data.get("rules", ()), contract.rules, strict=False):
        rule["op"] = record.op
    return contract_yaml(_ordered(data))


def contract_yaml(plain: dict[str, Any]) -> str:
    """Plain data of a contract as YAML; every text comes back as it was."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _ordered(data: dict[str, Any]) -> dict[str, Any]:
    """Rules start with their op and id."""
    rules = [{"op": rule.pop("op"), **rule} for rule in data.get("rules", ())]
    return {**data, "rules": rules} if rules else data


class _Dumper(yaml.SafeDumper):
    """Short lists of scalars on one line, whole numbers without point, no anchors.

    Texts with Unicode's own line breaks are quoted and escaped: YAML would fold them away.
    """

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def represent_list(self, data: Any) -> yaml.SequenceNode:
        flat = not any(isinstance(item, dict | list) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat)

    def represent_float(self, data: float) -> yaml.ScalarNode:
        if data.is_integer() and abs(data) < 1e15 and str(data) != "-0.0":
            return self.represent_int(int(data))
        return super().represent_float(data)

    def represent_text(self, data: str) -> yaml.ScalarNode:
        breaks = any(mark in data for mark in ("\x85", "\u2028", "\u2029"))
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if breaks else None)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(float, _Dumper.represent_float)
