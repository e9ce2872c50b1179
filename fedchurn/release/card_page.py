"""The card as a page for people (Markdown)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fedchurn.release.card import Card, Metrics

_SAMPLE = (
    "> **Trained on the generated sample.** No figure on this page says anything about real "
    "customers.\n"
)


def card_page(card: Card) -> str:
    """Markdown page of a card; equal cards give equal text."""
    parts = [
        f"# {card.contract} {card.contract_version}: release card\n",
        _SAMPLE if card.is_sample else "",
        _origin(card),
        "## How good it is (test rows)\n",
        _metrics_table(card),
        "## By client\n",
        _table_of(card.client_metrics),
        _fairness(card),
        "## Who took part\n",
        _rounds(card),
        _costs(card),
        "## Privacy\n",
        _list(card.privacy_notes) or "Nothing is recorded.\n",
        "## Libraries\n",
        _list(f"{name} {version}" for name, version in sorted(card.library_versions.items())),
    ]
    return "\n".join(part for part in parts if part)


def _origin(card: Card) -> str:
    facts = [
        ("made at", card.created_at),
        ("recipe", f"{card.recipe}, seed {card.seed}"),
        ("threshold", f"{card.threshold:.4f}, chosen for {card.objective}"),
        ("contract digest", f"`{card.contract_digest}`"),
        ("git commit", f"`{card.git_commit}`" if card.git_commit else "none"),
        ("MLflow run", f"`{card.mlflow_run_id}`" if card.mlflow_run_id else "none"),
    ]
    facts += [(f"rows of {c}", f"sha256 `{d}`") for c, d in sorted(card.data_digests.items())]
    return _table(("what", "value"), facts)


def _metrics_table(card: Card) -> str:
    return _table_of({"this model": card.metrics, **card.baselines})


def _table_of(metrics: Mapping[str, Metrics]) -> str:
    """One row per metric, one column per model or client."""
    names = list(dict.fromkeys(name for values in metrics.values() for name in values))
    rows = [(name, *(_figure(m.get(name)) for m in metrics.values())) for name in names]
    return _table(("metric", *metrics), rows) if rows else "Nothing was measured.\n"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _rounds(card: Card) -> str:
    rows = [
        (
            str(r.round_num),
            ", ".join(r.participants) or "nobody",
            "; ".join(f"{client}: {why}" for client, why in sorted(r.absences.items())) or "-",
        )
        for r in card.rounds
    ]
    return _table(("round", "took part", "absent, and why"), rows)


def _fairness(card: Card) -> str:
    """Nothing for a card that does not know it per client."""
    if not card.fairness:
        return ""
    head = ("metric", "worst client", "its value (95 %)", "range", "std", "of it beyond chance")
    rows = [
        (
            name,
            str(one["worst"]),
            f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})",
            *(f"{one[key]:.3f}" for key in ("range", "deviation", "beyond_chance")),
        )
        for name, one in card.fairness.items()
    ]
    return "## How evenly clients are served (test rows)\n\n" + _table(head, rows)


def _costs(card: Card) -> str:
    rows = [
        (name.replace("_", " "), f"{value:,.2f}" if "seconds" in name else f"{value:,.0f}")
        for name, value in card.costs.items()
    ]
    return "## What the training cost\n\n" + _table(("what", "value"), rows) if rows else ""


def _list(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(c) for c in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
