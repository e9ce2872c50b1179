"""Round records as a cost sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedchurn.evaluation.costs import ClientCost, CostSheet, RoundCost
from fedchurn.federation.training.state import RoundRecord


def cost_sheet(records: Sequence[RoundRecord]) -> CostSheet:
    """What the rounds cost; a record of an older version without times has none here."""
    rounds = tuple(
        RoundCost(
            round_num=record.round_num,
            strategy=record.strategy,
            num_clients=len(record.client_bytes_down) or len(record.participants),
            bytes_up=record.bytes_up,
            bytes_down=record.bytes_down,
            seconds=dict(record.seconds),
        )
        for record in records
    )
    up = [record.client_bytes_up for record in records]
    down = [record.client_bytes_down for record in records]
    names = sorted({client for part in (*up, *down) for client in part})
    clients = {
        client: ClientCost(
            num_rounds=sum(client in part for part in down) or sum(client in part for part in up),
            bytes_up=_of(client, up),
            bytes_down=_of(client, down),
        )
        for client in names
    }
    return CostSheet(rounds, clients)


def _of(client: str, parts: Sequence[Mapping[str, int]]) -> int:
    return sum(part.get(client, 0) for part in parts)
