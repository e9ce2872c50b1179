"""What a contract says and demands, as plain text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from fedchurn.contract.column_words import (
    condition_words,
    derived_words,
    kind_words,
    limit_words,
    missing_words,
    range_words,
    rule_words,
)
from fedchurn.contract.schema import Contract

_WIDTH = 100


def explain_contract(contract: Contract) -> str:
    """``contract`` in words: its columns as a table, then rules, bands, fallback and sample."""
    return "\n".join(line.rstrip() for line in _lines(contract)) + "\n"


def _lines(contract: Contract) -> Iterator[str]:
    yield f"{contract.contract} {contract.version}  {contract.title}"
    yield from textwrap.wrap(contract.description, _WIDTH)
    yield ""
    yield from _heads(contract)
    yield ""
    yield from _columns(contract)
    yield from _section(
        "Derived features",
        [f"{name} = {derived_words(op)}" for name, op in contract.derived.items()],
    )
    yield from _section(
        "Rules between columns",
        [f"{rule.severity}  {rule.id}: {rule_words(rule)}" for rule in contract.rules],
    )
    yield from _section("Rules about a client's table", _dataset(contract))
    yield from _section("Risk bands", _bands(contract))
    yield from _section("Answer of last resort", _fallback(contract))
    yield from _section("Sample", _sample(contract))


def _heads(contract: Contract) -> Iterator[str]:
    source, target = contract.source, contract.target
    sheet = f", sheet {source.sheet!r}" if source.sheet else ""
    rows = f", {source.rows} rows" if source.rows else ""
    yield f"source       {source.format}{sheet}: {source.file or 'any file'}{rows}"
    rate = f", {target.rate:.2%} in the reference" if target.rate is not None else ""
    labels = f"{target.positive} is churn, {target.negative} is not"
    yield f"target       {target.column}: {labels}{rate}"
    if target.rate_warn:
        low, high = target.rate_warn
        yield f"             a share of churn outside {low:.0%} to {high:.0%} raises a warning"
    if contract.id:
        unique = "unique, " if contract.id.unique else ""
        yield f"id           {contract.id.column} ({unique}never a feature)"
    yield f"silo column  {contract.silo_column or '-'}"
    yield f"value column {contract.value_column or '-'}"
    num_numbers = len(contract.number_columns)
    yield (
        f"features     {len(contract.columns)} columns ({num_numbers} numbers, "
        f"{len(contract.coded_columns)} of labels) and {len(contract.derived)} derived"
    )


def _columns(contract: Contract) -> Iterator[str]:
    header = ["column", "kind", "accepted", "usual", "missing", "drift test"]
    rows = [
        [
            name + (" (sensitive)" if column.sensitive else ""),
            kind_words(column),
            limit_words(column),
            range_words(column.usual) or "-",
            missing_words(column),
            column.drift or "-",
        ]
        for name, column in contract.columns.items()
    ]
    yield from _table([header, *rows])


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Aligned columns; a long third cell goes on in the lines below."""
    wrapped = [[textwrap.wrap(cell, 44) or [""] for cell in row] for row in rows]
    widths = [max(len(part) for row in wrapped for part in row[i]) for i in range(len(rows[0]))]
    for number, row in enumerate(wrapped):
        for depth in range(max(len(cell) for cell in row)):
            parts = [cell[depth] if depth < len(cell) else "" for cell in row]
            yield "  ".join(p.ljust(w) for p, w in zip(parts, widths, strict=True))
        if number == 0:
            yield "  ".join("-" * width for width in widths)


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield title
    for line in lines:
        yield from textwrap.wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _dataset(contract: Contract) -> list[str]:
    rules = contract.dataset
    extra = {"reject": "is an error", "ignore": "is ignored"}
    unknown = {"reject": "is an error", "keep_as_unknown": "is kept as unknown"}
    return [
        f"at least {rules.min_rows} rows and {rules.min_positives} churners per client",
        f"more than {rules.max_duplicate_fraction_warn:.1%} duplicate rows raise a warning",
        f"a column that the contract does not name {extra[rules.extra_columns]}",
        f"a label that the contract does not name {unknown[rules.unknown_category]}",
    ]


def _bands(contract: Contract) -> list[str]:
    lines = []
    low = 0.0
    for band in contract.risk_bands:
        reach = f"{low:.0%} to {band.below:.0%}" if band.below is not None else f"{low:.0%} and up"
        lines.append(f"{band.name}, {reach}: {'; '.join(band.recommendations) or '-'}")
        low = band.below if band.below is not None else low
    return lines


def _fallback(contract: Contract) -> list[str]:
    if contract.fallback is None:
        return []
    start = [f"base rate {contract.fallback.base_rate:.1%}"]
    return start + [
        f"{rule.add:+.0%} if {' and '.join(condition_words(c) for c in rule.when)} ({rule.reason})"
        for rule in contract.fallback.rules
    ]


def _sample(contract: Contract) -> list[str]:
    scenarios = ", ".join(contract.sample.scenarios) or "none"
    return [f"{contract.sample.rows} generated rows by default; drift scenarios: {scenarios}"]
