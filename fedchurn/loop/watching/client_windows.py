"""Which client drifts, from the log: its rows are told apart by the contract's silo column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedchurn.drift.clients.client_verdicts import (
    ClientWindow,
    FederatedDrift,
    client_references,
    judge_clients,
)
from fedchurn.drift.verdict import Verdict
from fedchurn.loop.watching.verdicts import WindowLine
from fedchurn.loop.watching.window import Window
from fedchurn.release.load import Release

NOBODY = "none of its customers was predicted"


def judge_by_client(
    release: Release, window: Window, earlier: Sequence[WindowLine]
) -> FederatedDrift | None:
    """Each client's customers against its own training rows; None where clients are not known.

    Args:
        release: has references by client.
        window: the customers.
        earlier: windows before it, oldest first.
    """
    if not window.clients:
        return None
    references = client_references(release.reference, release.contract)
    return judge_clients(
        references,
        {name: ClientWindow(p.num_rows, p.histograms) for name, p in window.clients.items()},
        absent={name: NOBODY for name in references if name not in window.clients},
        earlier={name: _flags(earlier, name) for name in window.clients},
    )


def flags_by_client(found: FederatedDrift | None) -> dict[str, list[str]]:
    """What later windows need to know of this one: flagged columns, where there are any."""
    return {one.client: list(one.flagged) for one in found.clients if one.flagged} if found else {}


def page_part(found: FederatedDrift | None) -> dict[str, Any] | None:
    """``summary`` and ``rows`` of a report; None when clients are not known."""
    if found is None:
        return None
    rows = [
        {
            "client": one.client,
            "verdict": one.verdict,
            "num_customers": one.num_window_rows,
            "drifted": [column.column for column in one.called_out(Verdict.DRIFT)],
            "warned": [column.column for column in one.called_out(Verdict.WARNING)],
        }
        for one in found.clients
    ]
    return {"summary": found.summary, "rows": rows}


def _flags(earlier: Sequence[WindowLine], client: str) -> list[tuple[str, ...]]:
    return [tuple(_columns(one.client_flags, client)) for one in earlier]


def _columns(flags: Mapping[str, Sequence[str]], client: str) -> Sequence[str]:
    return flags.get(client, ())
