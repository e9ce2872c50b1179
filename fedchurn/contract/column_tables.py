"""The column tables of docs/contracts.md, made from the shipped contracts.

``python -m fedchurn.contract.column_tables docs/contracts.md`` brings the guide up to date; a test
fails while it is not.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fedchurn.contract.column_words import (
    derived_words,
    kind_words,
    limit_words,
    missing_words,
    range_words,
)
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract

_BLOCK = re.compile(r"(<!-- columns: (\S+) -->\n).*?(<!-- end of columns -->)", re.DOTALL)
_HEADER = ("column", "kind", "accepted", "usual", "missing", "form group", "what it is")


def column_table(contract: Contract) -> str:
    """Columns and derived features of ``contract`` as a Markdown table."""
    rows = [_HEADER, tuple("---" for _ in _HEADER)]
    for name, column in contract.columns.items():
        words = " ".join(part for part in (column.label, _brackets(column.description)) if part)
        rows.append(
            (
                f"`{name}`",
                kind_words(column),
                limit_words(column),
                range_words(column.usual),
                missing_words(column),
                column.group or "",
                words,
            )
        )
    for name, op in contract.derived.items():
        rows.append((f"`{name}`", "derived", "", "", "", "", derived_words(op)))
    return "".join("| " + " | ".join(_escaped(cell) for cell in row) + " |\n" for row in rows)


def with_tables(guide: str) -> str:
    """``guide`` with a fresh table in every block ``<!-- columns: NAME -->``.

    Raises:
        ContractError: a block names no shipped contract.
    """

    def fill(block: re.Match[str]) -> str:
        return f"{block[1]}{column_table(load_contract(block[2]))}{block[3]}"

    return _BLOCK.sub(fill, guide)


def _brackets(text: str | None) -> str:
    return f"({text.rstrip('.')})" if text else ""


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|")


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
