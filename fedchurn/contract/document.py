"""YAML text to plain data, with line numbers and the traps of YAML reported.

YAML 1.1 reads a bare ``No`` as false and a bare ``01`` as 1. Where a contract expects a label, text
stays as it is spelled in the file; where it cannot be known what was meant, it is a problem.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fedchurn.contract.problems import Path, Problem
from fedchurn.errors import ContractError

TRUTH_KEYS = frozenset(
    {"nullable", "unique", "sensitive", "both_ways", "is_null", "explain_by_default"}
)
LABEL_KEYS = frozenset({"categories", "labels", "positive", "negative", "equals", "is_in"})
NAME_KEYS = ("id", "name", "reason")
_MAX_DEPTH = 20

_BOOL, _NULL, _TEXT = (f"tag:yaml.org,2002:{kind}" for kind in ("bool", "null", "str"))


@dataclass
class Document:
    """A parsed YAML text.

    Attributes:
        data: plain dicts, lists and scalars.
        lines: 1-based line of each path; items of a list stand under their number and their name.
        problems: duplicate keys, bare booleans and empty labels.
    """

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_document(text: str, where: str) -> Document:
    """Parse YAML ``text``.

    Raises:
        ContractError: the text is not YAML, or not a mapping; the line is named.
    """
    document = Document()
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, MappingNode):
            raise ContractError(
                "the file holds no mapping of keys to values",
                where=where,
                next_step="start from `fedchurn contract draft FILE --target COLUMN`",
            )
        _inspect(node, (), document)
        document.data = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ContractError(
            f"not valid YAML: {_syntax(error)}",
            where=where,
            next_step="check indentation, brackets and quotes at that line",
        ) from error
    finally:
        loader.dispose()
    return document


def _syntax(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else what


def _inspect(node: Node, path: Path, document: Document) -> None:
    if len(path) > _MAX_DEPTH:
        raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=node.start_mark)
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        _inspect_mapping(node, path, document)
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(node.value):
            _inspect(item, (*path, number), document)
            name = _name_of(item)
            if name is not None:
                _inspect(item, (*path, name), Document(lines=document.lines))
    elif isinstance(node, ScalarNode):
        _inspect_scalar(node, path, document)


def _inspect_mapping(node: MappingNode, path: Path, document: Document) -> None:
    seen: set[str] = set()
    for key, value in node.value:
        name = str(key.value)
        here = (*path, name)
        document.lines.setdefault(here, key.start_mark.line + 1)
        if name in seen:
            document.problems.append(Problem(here, f"the key {name!r} is written twice"))
        seen.add(name)
        if key.tag == _BOOL:
            document.problems.append(Problem(here, _quote_it(name)))
        if isinstance(key, ScalarNode) and name != "<<":
            key.tag = _TEXT
        _inspect(value, here, document)


def _inspect_scalar(node: ScalarNode, path: Path, document: Document) -> None:
    keys = [part for part in path if isinstance(part, str)]
    key = keys[-1] if keys else ""
    if node.tag == _BOOL and key not in TRUTH_KEYS:
        document.problems.append(Problem(path, _quote_it(node.value)))
        node.tag = _TEXT
    elif key in LABEL_KEYS and node.tag == _NULL and isinstance(path[-1], int):
        message = (
            "empty label; quote it if it is a label, or use `nullable: true` for missing values"
        )
        document.problems.append(Problem(path, message))
    elif key in LABEL_KEYS and node.tag != _NULL:
        node.tag = _TEXT


def _quote_it(word: str) -> str:
    return (
        f"YAML reads a bare {word} as true or false; if it is a label, write it in quotes: '{word}'"
    )


def _name_of(node: Node) -> str | None:
    if not isinstance(node, MappingNode):
        return None
    named = {str(k.value): v for k, v in node.value}
    return next((str(named[k].value) for k in NAME_KEYS if k in named), None)
