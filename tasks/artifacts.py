"""Prefect artifacts: what a run shows in the UI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

SAMPLE_NOTE = "\n\n> **Generated sample.** These figures are not about real customers."


def _key(kind: str, contract: str) -> str:
    return f"{kind}-{contract}".lower().replace("_", "-")


def _note(is_sample: bool) -> str:
    return SAMPLE_NOTE if is_sample else ""


def publish_rejection(contract: str, message: str) -> None:
    """The table of failed checks, when rows were rejected."""
    create_markdown_artifact(
        f"# Rows rejected\n\n```\n{message}\n```",
        key=_key("validation", contract),
        description=f"Validation of {contract}: rejected",
    )


def publish_validation(contract: str, result: dict[str, Any]) -> None:
    """Row accounting of a validation that passed, and its warnings."""
    counts = ("rows_in", "rows_used", "rows_quarantined", "rows_dropped_duplicates")
    lines = [f"| {name} | {result[name]} |" for name in counts]
    warnings = "\n".join(f"- {warning}" for warning in result["warnings"]) or "none"
    create_markdown_artifact(
        f"# Validation of {contract}\n\nSource: {', '.join(result['sources'])}\n\n"
        f"| count | rows |\n|---|---|\n"
        + "\n".join(lines)
        + f"\n\n## Warnings\n\n{warnings}\n\n"
        + _refused(result.get("refused", {}))
        + f"Report: `{result['folder']}`"
        + _note(result["is_sample"]),
        key=_key("validation", contract),
        description=f"Validation of {contract}: passed",
    )


def _refused(refused: dict[str, str]) -> str:
    """Clients that take no part, and why; nothing where all do."""
    lines = "\n".join(f"- {client}: {why}" for client, why in sorted(refused.items()))
    return f"## Not taking part\n\n{lines}\n\n" if lines else ""


def publish_rounds(contract: str, records: list[dict[str, Any]]) -> None:
    """One row per round and client."""
    table = [
        {"round": record["round_num"], "client": client, **_rounded(numbers)}
        for record in records
        for client, numbers in sorted(record["per_client"].items())
    ]
    create_table_artifact(
        table, key=_key("rounds", contract), description=f"Rounds of {contract}, per client"
    )


def publish_evaluation(contract: str, evaluated: dict[str, Any], is_sample: bool) -> None:
    """The price of privacy: the model beside its baselines."""
    names = ("roc_auc", "accuracy", "f1", "brier", "log_loss")
    header = "| model | " + " | ".join(names) + " |\n|---" * 1 + "|---" * len(names) + "|\n"
    rows = [
        f"| {c['name']} | " + " | ".join(_shown(c["metrics"].get(n)) for n in names) + " |"
        for c in evaluated["comparisons"]
    ]
    left_out = f"\n\n{evaluated['left_out']}" if evaluated["left_out"] else ""
    create_markdown_artifact(
        f"# Evaluation of {contract}\n\n{header}" + "\n".join(rows) + left_out + _note(is_sample),
        key=_key("evaluation", contract),
        description=f"Evaluation of {contract}",
    )


def publish_decision(contract: str, outcome: dict[str, Any]) -> None:
    """Promoted or refused, with every reason in words."""
    reasons = "\n".join(
        f"- {'passed' if r['passed'] else '**failed**'}: {r['sentence']}"
        for r in outcome["reasons"]
    )
    create_markdown_artifact(
        f"# {outcome['outcome'].capitalize()}: {outcome['release_id']}\n\n{reasons}\n\n"
        f"{outcome['next_step']}",
        key=_key("promotion", contract),
        description=f"Promotion of {contract}: {outcome['outcome']}",
    )


def publish_bento(contract: str, result: dict[str, Any]) -> None:
    """What was packaged, and how to serve it."""
    facts = ("tag", "digest", "release_id", "version", "size_bytes", "seconds")
    rows = "\n".join(f"| {name} | {result[name]} |" for name in facts)
    create_markdown_artifact(
        f"# {result['outcome'].capitalize()}: {result['tag']}\n\n{result['summary']}\n\n"
        f"| fact | value |\n|---|---|\n{rows}\n\n"
        f"    {result['command']}",
        key=_key("bento", contract),
        description=f"Bento of {contract}: {result['outcome']}",
    )


def publish_drift(contract: str, window: dict[str, Any]) -> None:
    """A window's verdict, column by column, and where its report is."""
    names = ("column", "verdict", "about", "strongest", "distance", "missing", "p", "adjusted p")
    header = "| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|\n"
    rows = "\n".join(_drift_row(column) for column in window["drift"]["columns"])
    clients = ", ".join(window["clients"]) or "none"
    create_markdown_artifact(
        f"# {window['summary']}\n\n{window['num_customers']} customers, release "
        f"`{window['release']}`, window `{window['window_id']}`. Clients named: {clients}.\n\n"
        f"[Report]({Path(window['report_path']).as_uri()}): `{window['report_path']}`\n\n"
        f"{header}{rows}" + _note(window["is_sample"]),
        key=_key("drift", contract),
        description=f"Drift of {contract}: {window['verdict']}",
    )


def _drift_row(column: dict[str, Any]) -> str:
    effects = column["effects"]
    cells = (
        *(column["column"], column["verdict"], column["subject"], column["strongest"]),
        *(_shown(effects["distance"]), _shown(effects["missing"])),
        *(f"{column['p_value']:.2g}", f"{column['adjusted_p_value']:.2g}"),
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-"


def _rounded(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: round(float(value), 5) for name, value in numbers.items()}
