"""First stage where no row lies on this machine: clients join with facts about their rows.

They have read, checked and split their files themselves (``fedchurn.loop.client_rows``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedchurn.contract.load import contract_digest
from fedchurn.contract.schema import Contract
from fedchurn.errors import SettingsError
from fedchurn.federation.exchange import Exchange
from fedchurn.federation.joining.facts import JoinFacts, own_version
from fedchurn.federation.joining.join import Joined, join_clients
from fedchurn.loop.federate import round_policy
from fedchurn.loop.reach import expected_clients, on_clients, rows_are_remote
from fedchurn.loop.stage import StageResult, run_stage, stage_key
from fedchurn.loop.validate import part_facts, validate_stage
from fedchurn.settings import Settings

COUNTS = ("rows_in", "rows_used", "rows_quarantined", "rows_dropped_duplicates")


def first_stage(settings: Settings, contract: Contract) -> StageResult:
    """``validate_stage`` where rows lie here, ``join_stage`` where they lie beside the clients."""
    stage = join_stage if rows_are_remote(settings) else validate_stage
    return stage(settings, contract)


def join_stage(settings: Settings, contract: Contract) -> StageResult:
    """Who takes part, and what they tell about their rows.

    Clients are asked every time; the stage is reused where they say what they said before.

    Returns:
        what ``validate_stage`` returns, with ``clients`` empty, for there are no files; and
        ``stamps`` (what each client is held to), ``refused`` (why others take no part),
        ``num_churned`` and ``fedchurn_versions`` by client.

    Raises:
        SettingsError: rows are named although they are not read here.
        QuorumError: too few clients could join; every other one is named with its reason.
        FederationError: clients did not connect in time.
    """
    _refuse_rows(settings)
    joined = on_clients(
        settings,
        contract,
        {},
        None,
        lambda exchange: ask_to_join(exchange, settings, contract),
        summed=False,
    )
    facts = joined_facts(joined)
    key = stage_key(contract_digest(contract), facts, settings.split.model_dump(mode="json"))

    def work(folder: Path) -> StageResult:
        told = {client: found.model_dump(mode="json") for client, found in joined.clients.items()}
        (folder / "joined.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
        return facts

    return run_stage(settings.home, "join", key, work)


def _refuse_rows(settings: Settings) -> None:
    data = settings.data
    named = data.location or ", ".join(data.clients)
    if named:
        raise SettingsError(
            f"rows are named, and with engine {settings.engine!r} none are read here",
            where=f"data: {named}",
            next_step="leave data out: every client names its own file; or choose"
            " federation.engine=inprocess",
        )


def ask_to_join(exchange: Exchange, settings: Settings, contract: Contract) -> Joined:
    """``join_clients`` by settings, with every client that has a key."""
    return join_clients(
        exchange,
        contract,
        round_policy(settings.federation),
        split=settings.split.model_dump(mode="json"),
        min_cell_rows=settings.federation.min_cell_rows,
        expected=expected_clients(settings),
    )


def joined_facts(joined: Joined) -> dict[str, Any]:
    """What later stages use of clients that joined, JSON-ready; see ``join_stage``."""
    clients = joined.clients
    validations = {client: found.validation for client, found in clients.items()}
    rows = {
        client: {"source": found.source, **{name: getattr(found, name) for name in COUNTS}}
        for client, found in validations.items()
    }
    return {
        "clients": {},
        "stamps": joined.stamps,
        "refused": dict(joined.refused),
        "data_digests": {client: found.data_digest for client, found in clients.items()},
        "split_digests": {client: found.split_digest for client, found in clients.items()},
        "parts": {client: part_facts(found.parts) for client, found in clients.items()},
        "num_churned": {client: found.num_churned for client, found in clients.items()},
        "fedchurn_versions": {client: found.fedchurn_version for client, found in clients.items()},
        "is_sample": any(found.is_sample for found in validations.values()),
        "sources": sorted({found.source for found in validations.values()}),
        "source_sha256": sorted({found.sha256 for found in validations.values()}),
        **{name: sum(counts[name] for counts in rows.values()) for name in COUNTS},
        "rows": rows,
        "warnings": [w for client, found in clients.items() for w in _warnings(client, found)],
    }


def _warnings(client: str, facts: JoinFacts) -> list[str]:
    told = [f"{client}: {warning}" for warning in facts.validation.warnings]
    if facts.fedchurn_version != own_version():
        told.append(f"{client}: fedchurn {own_version()} here, {facts.fedchurn_version} there")
    return told
