"""The table of docs/metrics.md, made from the metrics themselves."""

from __future__ import annotations

from collections.abc import Iterable

from fedchurn.serving.metrics.prometheus_families import FamilyFact

_TOGETHER = {
    "sum": "sum",
    "liveall": "one series per worker (`pid`)",
    "livemax": "highest",
    "livemin": "lowest",
    "livesum": "sum of the living",
    "mostrecent": "newest",
}
_FEATURES = (
    FamilyFact("feature_<column>", "histogram", (), "Values of a number in answered rows"),
    FamilyFact("feature_<column>_total", "counter", ("<column>",), "Answered rows by label"),
)


def families_table(facts: Iterable[FamilyFact]) -> str:
    """Markdown table of families by name; those of single contract columns in two general rows."""
    named = [fact for fact in facts if not fact.name.startswith("feature_")]
    rows = sorted([*named, *_FEATURES], key=lambda fact: fact.name)
    head = "| family | type | labels | over workers | meaning |\n|---|---|---|---|---|\n"
    return head + "".join(map(_row, rows))


def _row(fact: FamilyFact) -> str:
    labels = ", ".join(f"`{label}`" for label in fact.labels)
    together = _TOGETHER[fact.together]
    return f"| `{fact.name}` | {fact.kind} | {labels} | {together} | {fact.meaning} |\n"
