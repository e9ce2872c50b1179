"""Who is connected to a link, and what every client is: for people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.joining.facts import FACTS, JoinFacts
from fedchurn.federation.superlink.control import Control
from fedchurn.federation.superlink.driver import (
    DrivenLink,
    addresses_of,
    driver_folder,
    refusals_told,
)
from fedchurn.federation.superlink.keys import read_public_keys
from fedchurn.federation.superlink.link_exchange import LinkExchange
from fedchurn.settings_superlink import SuperlinkSettings


@dataclass(frozen=True)
class ClientStatus:
    """One client with a key.

    Attributes:
        name: the client's.
        is_connected: heard of lately.
        since: when it last connected, as the link wrote it; empty if it never did.
        contract: name and version; empty if it gave no answer.
        contract_digest: sha256.
        num_rows: that it trains and tests on.
        problem: why it gave no answer; empty if it did.
    """

    name: str
    is_connected: bool
    since: str
    contract: str = ""
    contract_digest: str = ""
    num_rows: int = 0
    problem: str = ""


def federation_status(
    settings: SuperlinkSettings, timeout_seconds: float
) -> tuple[ClientStatus, ...]:
    """Every client that has a key, sorted by name; connected ones are asked what they are.

    Args:
        settings: where the link is.
        timeout_seconds: how long to wait for the link, and for answers.

    Raises:
        SettingsError: key files are missing.
        FederationError: the link refuses us.
    """
    folder = driver_folder(settings)
    keys = read_public_keys(folder)
    addresses = addresses_of(settings, folder)
    control = Control(addresses.control, addresses.roots)
    link = DrivenLink(control, addresses, {key: name for name, key in keys.items()})
    try:
        with refusals_told(settings):
            control.await_answer(timeout_seconds)
            nodes = {node.public_key: node for node in control.nodes()}
            connected = sorted(link.sessions())
            replies: tuple[Reply, ...] = ()
            if connected:
                exchange = LinkExchange(link, connect_timeout_seconds=timeout_seconds)
                request = Request("join", 0, config={"min_cell_rows": 1_000_000})
                replies = exchange.ask(request, connected, timeout_seconds)
    finally:
        link.close(completed=True)
        control.close()
    answers = {reply.client: reply for reply in replies}
    return tuple(
        _status(name, answers.get(name), nodes[key].activated_at if key in nodes else "")
        for name, key in sorted(keys.items())
    )


def _status(name: str, reply: Reply | None, since: str) -> ClientStatus:
    if reply is None:
        return ClientStatus(name, False, since)
    if reply.error:
        return ClientStatus(name, True, since, problem=reply.error)
    try:
        content = np.asarray(reply.arrays.get(FACTS, ()), dtype=np.uint8).tobytes()
        facts = JoinFacts.model_validate_json(content)
    except ValidationError:
        return ClientStatus(name, True, since, problem="unusable answer")
    contract = f"{facts.contract.get('contract')} {facts.contract.get('version')}"
    rows = sum(part.num_rows for part in facts.parts.values())
    return ClientStatus(name, True, since, contract, facts.contract_digest, rows)
