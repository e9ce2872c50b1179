"""Joining: who may take part in a training, and who is refused, with the difference in words.

A client whose contract or split is not the driver's would train on columns that mean something
else, or test on rows that another model has seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import ValidationError

from fedchurn.contract.load import contract_digest
from fedchurn.contract.schema import Contract
from fedchurn.errors import QuorumError
from fedchurn.federation.exchange import Exchange, Reply, Request, asked_of
from fedchurn.federation.joining.contract_difference import contract_differences, differences_text
from fedchurn.federation.joining.facts import FACTS, STAMP, JoinFacts
from fedchurn.federation.joining.refusal import tell_refused
from fedchurn.federation.training.checks import RoundPolicy

MAX_FACTS_BYTES = 4 * 2**20

Split = Mapping[str, float]


@dataclass(frozen=True)
class Joined:
    """Who takes part.

    Attributes:
        clients: facts by name, in order of names.
        refused: why others are not asked anything else, by name.
    """

    clients: Mapping[str, JoinFacts]
    refused: Mapping[str, str]

    @property
    def stamps(self) -> dict[str, str]:
        """What each client is held to from now on."""
        return {client: facts.stamp for client, facts in self.clients.items()}


def join_clients(
    exchange: Exchange,
    contract: Contract,
    policy: RoundPolicy,
    *,
    split: Split,
    min_cell_rows: int = 1,
    expected: Iterable[str] = (),
) -> Joined:
    """Ask every client to join.

    Args:
        exchange: reaches all clients that are connected.
        contract: that clients must have, to the letter of its canonical JSON.
        policy: deadline, and the quorum: a share of all clients, refused ones included.
        split: settings by which clients must have split their rows.
        min_cell_rows: k; see ``Membership.reply``.
        expected: clients that belong to the federation; one that is not connected is told among the
            refused, and does not count for the quorum.

    Raises:
        QuorumError: too few clients could join; names every other one and why.
    """
    request = Request("join", 0, config={"min_cell_rows": min_cell_rows})
    replies = exchange.ask(request, timeout_seconds=policy.deadline_seconds)
    clients: dict[str, JoinFacts] = {}
    refused: dict[str, str] = {}
    for reply in replies:
        facts, why = _read(reply)
        why = why or _objection(facts, contract, split, clients) if facts else why
        if facts is None or why:
            refused[reply.client] = why
        else:
            clients[reply.client] = facts
    replied = {reply.client for reply in replies if not reply.error}
    tell_refused(exchange, {c: why for c, why in refused.items() if c in replied})
    needed = max(1, int(np.ceil(policy.quorum_fraction * len(replies))))
    if len(clients) < needed:
        told = "; ".join(f"{client}: {why}" for client, why in sorted(refused.items()))
        raise QuorumError(
            f"{len(clients)} of {len(replies)} clients could join, {needed} are needed ({told})",
            where="joining",
            next_step="mend the named clients, or lower federation.quorum_fraction",
        )
    away = set(expected) - set(clients) - set(refused)
    refused.update(dict.fromkeys(away, "did not join: not connected"))
    return Joined(clients, dict(sorted(refused.items())))


def _read(reply: Reply) -> tuple[JoinFacts | None, str]:
    """The facts of a reply, or why there are none."""
    if reply.error:
        return None, f"did not join: {reply.error}"
    sent = np.asarray(reply.arrays.get(FACTS, np.empty(0, dtype=np.uint8)))
    if sent.dtype != np.uint8:
        return None, f"did not join: unusable answer of {sent.dtype} instead of bytes"
    content = sent.tobytes()
    if not 0 < len(content) <= MAX_FACTS_BYTES:
        return None, f"did not join: unusable answer of {len(content)} bytes"
    try:
        facts = JoinFacts.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return None, f"did not join: unusable answer: {place or 'facts'}: {first['msg']}"
    if facts.client != reply.client:
        return None, f"did not join: answered in the name of {facts.client!r}"
    odd = facts.inconsistency()
    return facts, f"did not join: unusable answer: {odd}" if odd else ""


def _objection(
    facts: JoinFacts, contract: Contract, split: Split, others: Mapping[str, JoinFacts]
) -> str:
    """Why a client that answered may not take part; empty when it may."""
    if facts.contract_digest != contract_digest(contract):
        found = contract_differences(contract.model_dump(mode="json"), facts.contract)
        return f"refused, for its contract differs: {differences_text(found)}"
    wanted = {name: float(value) for name, value in split.items()}
    if facts.validation.split != wanted:
        found = contract_differences({"split": wanted}, {"split": facts.validation.split})
        return f"refused, for its rows are split otherwise: {differences_text(found)}"
    for other in others.values():
        if _same_rows(facts, other):
            return (
                f"refused, for it holds the rows of client {other.client!r}: they would count twice"
            )
    return ""


def _same_rows(one: JoinFacts, other: JoinFacts) -> bool:
    is_same_file = bool(one.validation.sha256) and one.validation.sha256 == other.validation.sha256
    return is_same_file or one.data_digest == other.data_digest


class RestrictedExchange:
    """Reaches clients that joined, and only as long as they are what they were.

    Every request carries the stamp that the client had when it joined: one that returned with
    other rows or another contract answers with an error, and is absent.

    Args:
        exchange: reaches all clients.
        stamps: of clients that joined, by name.
    """

    def __init__(self, exchange: Exchange, stamps: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._stamps = {
            client: np.frombuffer(bytes.fromhex(stamp), dtype=np.uint8)
            for client, stamp in stamps.items()
        }

    def clients(self) -> tuple[str, ...]:
        """Names of the clients that joined, sorted, whether they are connected now or not."""
        return tuple(sorted(self._stamps))

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        """One reply per asked client, sorted by name; see ``Exchange``."""
        asked = asked_of(self.clients(), clients)
        members = [client for client in asked if client in self._stamps]
        own = {
            client: {**request.own_arrays.get(client, {}), STAMP: self._stamps[client]}
            for client in members
        }
        stamped = replace(request, own_arrays=own)
        replies = self._exchange.ask(stamped, members, timeout_seconds) if members else ()
        others = [Reply(c, error="did not join") for c in asked if c not in self._stamps]
        return tuple(sorted([*replies, *others], key=lambda reply: reply.client))
