"""How the stages reach the clients: by files on this machine, or on the hosts that joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from fedchurn.contract.schema import Contract
from fedchurn.errors import SettingsError
from fedchurn.federation.engines import run_on_engine
from fedchurn.federation.exchange import Exchange
from fedchurn.federation.joining.join import RestrictedExchange
from fedchurn.federation.secure.switch import secured_exchange
from fedchurn.federation.training.state import RoundRecord
from fedchurn.settings import Settings

T = TypeVar("T")

REMOTE_ENGINES = ("superlink",)  # rows lie beside the clients, none here


@dataclass(frozen=True)
class JoinedClients:
    """Clients on hosts of their own, as they were when they joined.

    Attributes:
        stamps: by client, what it must still be to be asked.
        refused: why others take no part, by client.
    """

    stamps: Mapping[str, str]
    refused: Mapping[str, str]

    @classmethod
    def of(cls, validated: Mapping[str, Any]) -> JoinedClients | None:
        """Those of a first stage's result; None where rows lie here."""
        if "stamps" not in validated:
            return None
        return cls(validated["stamps"], validated["refused"])

    def told_in(self, records: Sequence[RoundRecord]) -> tuple[RoundRecord, ...]:
        """The records with every refused client among the absences of every round."""
        return tuple(replace(r, absences={**self.refused, **r.absences}) for r in records)


def rows_are_remote(settings: Settings) -> bool:
    """Whether no row lies on this machine."""
    return settings.engine in REMOTE_ENGINES


def check_rows_here(settings: Settings, what: str) -> None:
    """Refuse what needs rows on this machine.

    Args:
        settings: name the engine.
        what: what needs them, in words.

    Raises:
        SettingsError: rows lie beside the clients.
    """
    if rows_are_remote(settings):
        raise SettingsError(
            f"{what} needs rows on this machine, and with engine"
            f" {settings.engine!r} they lie beside the clients",
            where="federation.engine",
            next_step="give rows (data) and federation.engine=inprocess; docs/runbook.md, Clients"
            " on other hosts, says what works without",
        )


def expected_clients(settings: Settings) -> tuple[str, ...]:
    """Names of the clients that have a key, on hosts of their own; empty for other engines.

    Raises:
        SettingsError: the driver's keys cannot be read.
    """
    keys = settings.federation.superlink.keys
    if not rows_are_remote(settings) or keys is None:
        return ()
    from fedchurn.federation.superlink.keys import read_public_keys

    return tuple(sorted(read_public_keys(keys)))


def on_clients(
    settings: Settings,
    contract: Contract,
    files: dict[str, Path],
    joined: JoinedClients | None,
    drive: Callable[[Exchange], T],
    *,
    summed: bool = True,
) -> T:
    """What ``drive`` returns, given an exchange that reaches the clients of this training.

    Args:
        settings: name the engine and home.
        contract: that rows obey.
        files: per client the file of its rows; empty where rows are remote.
        joined: clients on hosts of their own; others that are connected are not asked.
        drive: asks the clients.
        summed: whether answers are sums, which are masked where settings say so.
    """

    def restricted(exchange: Exchange) -> T:
        known = exchange if joined is None else RestrictedExchange(exchange, joined.stamps)
        return drive(secured_exchange(known, settings.federation.secure) if summed else known)

    return run_on_engine(settings, files, contract, restricted)
