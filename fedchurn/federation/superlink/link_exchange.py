"""Asks clients over a link, and goes on asking while the deadline lasts.

A client is known by its key. One that lost its connection in the middle of a question is asked
again when it is back; a link that restarted is asked again too, in a new run if it forgot ours.
Clients answer equal questions equally, so a question asked twice costs time and changes nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flwr.app import Message
from flwr.common.constant import ErrorCode

from fedchurn.errors import FederationError
from fedchurn.federation.direct_exchange import no_answer, not_connected
from fedchurn.federation.exchange import Reply, Request, asked_of
from fedchurn.federation.flower.messages import (
    message_type,
    packed_arrays,
    reply_of,
    request_content,
)
from fedchurn.federation.superlink.channel import LinkAway, RunOver
from fedchurn.federation.superlink.folding import folded, unfolded

SHORTEST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.02, 0.5
AWAY_SECONDS = 0.5  # between attempts to reach a link that is away
_MOST_LETTERS = 1000  # of a client's reason, which goes into records, logs and terminals
NODES_SECONDS = 1.0  # between looks at who is connected, while answers are awaited

# The link says so when the node, the question or its answer is gone: ask again.
_GONE = (
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
)


@dataclass(frozen=True)
class Session:
    """A client's connection: the number of its node, and since when, as the link wrote it."""

    node: int
    since: str


class Link(Protocol):
    """What the exchange needs of a link; every method may raise ``LinkAway``."""

    def sessions(self) -> Mapping[str, Session]:
        """Clients that are connected now, by name."""

    def push(self, messages: Sequence[Message]) -> Sequence[str]:
        """Ids of messages on their way; empty for one that cannot be delivered.

        Raises:
            RunOver: the link forgot our run.
        """

    def pull(self, message_ids: Sequence[str], seconds: float) -> Sequence[Message]:
        """Answers that have come. Raises as ``push``."""

    def renew(self) -> None:
        """A new run in place of one that is over."""


class LinkExchange:
    """The port ``Exchange`` over a link.

    Args:
        link: carries messages.
        num_clients: how many clients to wait for before the first question.
        connect_timeout_seconds: how long to wait for them; then the quorum is enough.
        quorum_fraction: while fewer than this share of the asked clients answered, absent ones are
            waited for until the deadline; above it they miss the question.
        clock: seconds, monotonic.
        sleep: waits so many seconds.

    Raises:
        FederationError: fewer than the quorum connected in time.
    """

    def __init__(
        self,
        link: Link,
        *,
        num_clients: int = 1,
        connect_timeout_seconds: float = 60.0,
        quorum_fraction: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._link = link
        self._quorum_fraction = quorum_fraction
        self._clock = clock
        self._sleep = sleep
        self._met: set[str] = set()
        self._sessions: Mapping[str, Session] = {}
        self._looked_at = -math.inf
        self._wait_for(num_clients, connect_timeout_seconds)

    def clients(self) -> tuple[str, ...]:
        """Names of all clients met so far, sorted."""
        return tuple(sorted(self._met))

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        """One reply per asked client, sorted by name; see ``Exchange``."""
        deadline = self._clock() + timeout_seconds
        self._look(deadline)  # a newcomer takes part in a question to all
        asked = asked_of(self.clients(), clients)
        question = _Question(request, asked, math.ceil(self._quorum_fraction * len(asked)))
        poll_seconds = SHORTEST_POLL_SECONDS
        while not question.is_settled() and self._clock() < deadline:
            try:
                news = self._step(question, deadline)
            except LinkAway:
                self._rest(AWAY_SECONDS, deadline)
                continue
            poll_seconds = SHORTEST_POLL_SECONDS if news else poll_seconds * 1.5
            poll_seconds = min(poll_seconds, LONGEST_POLL_SECONDS)
            if not question.is_settled():
                self._rest(poll_seconds, deadline)
        return question.all_replies(timeout_seconds)

    def _step(self, question: _Question, deadline: float) -> bool:
        """Ask who is there and not asked yet, fetch what has come; whether anything happened."""
        try:
            if self._clock() - self._looked_at >= NODES_SECONDS:
                self._refresh()
            question.forget_lost(self._sessions)
            news = question.push(self._link, self._sessions, deadline - self._clock())
            return question.pull(self._link, deadline - self._clock()) or news
        except RunOver as error:
            question.forget_all()
            self._link.renew()
            raise LinkAway("our run was forgotten") from error  # rest, then ask in a new one

    def _refresh(self) -> None:
        self._sessions = dict(self._link.sessions())
        self._met.update(self._sessions)
        self._looked_at = self._clock()

    def _look(self, deadline: float) -> None:
        """See who is connected; a link that is away is waited for."""
        while True:
            try:
                return self._refresh()
            except LinkAway:
                if self._clock() >= deadline:
                    return None
                self._rest(AWAY_SECONDS, deadline)

    def _rest(self, seconds: float, deadline: float) -> None:
        self._sleep(max(0.0, min(seconds, deadline - self._clock())))

    def _wait_for(self, num_clients: int, seconds: float) -> None:
        """Wait for all; when the time is over, for no more than the quorum."""
        deadline = self._clock() + seconds
        self._look(deadline)
        while len(self._sessions) < num_clients and self._clock() < deadline:
            self._rest(LONGEST_POLL_SECONDS, deadline)
            self._look(deadline)
        num_needed = max(1, math.ceil(self._quorum_fraction * num_clients))
        if len(self._sessions) < num_needed:
            names = ", ".join(sorted(self._sessions)) or "none"
            raise FederationError(
                f"{len(self._sessions)} of {num_clients} clients connected within "
                f"{seconds:g} s: {names}",
                where="engine superlink",
                next_step="start the link (`fedchurn federate up`) and the missing clients "
                "(`fedchurn federate client`), or wait for fewer: "
                "federation.superlink.num_clients",
            )


class _Question:
    """One request on its way to several clients."""

    def __init__(self, request: Request, asked: Sequence[str], num_needed: int) -> None:
        self._request = request
        self._asked = tuple(asked)
        self._num_needed = num_needed
        self._packed = packed_arrays(request.arrays)
        self._on_the_way: dict[str, tuple[str, Session]] = {}  # message id -> client
        self._replies: dict[str, Reply] = {}
        self._lost: set[str] = set()
        self.is_new = True

    def is_settled(self) -> bool:
        """All answered; or all that are there did, and they are enough."""
        if len(self._replies) == len(self._asked):
            return True
        num_usable = sum(not reply.error for reply in self._replies.values())
        return not (self.is_new or self._on_the_way) and num_usable >= max(1, self._num_needed)

    def push(self, link: Link, sessions: Mapping[str, Session], seconds: float) -> bool:
        """Send to every asked client that is there and was not sent it; whether any was."""
        self.is_new = False
        busy = {client for client, _ in self._on_the_way.values()}
        open_to = [
            client
            for client in self._asked
            if client in sessions and client not in busy and client not in self._replies
        ]
        if not open_to or seconds <= 0:
            return False
        messages = [self._message(client, sessions[client], seconds) for client in open_to]
        for client, key in zip(open_to, link.push(messages), strict=True):
            if key:
                self._on_the_way[key] = (client, sessions[client])
        return True

    def pull(self, link: Link, seconds: float) -> bool:
        """Take the answers that have come; whether any has."""
        if not self._on_the_way:
            return False
        answers = link.pull(list(self._on_the_way), max(0.0, seconds))
        for answer in answers:
            found = self._on_the_way.pop(answer.metadata.reply_to_message_id, None)
            if found is not None:
                self._take(found[0], answer)
        return bool(answers)

    def forget_lost(self, sessions: Mapping[str, Session]) -> None:
        """Questions to a connection that is no more: it took them with it."""
        for key, (client, session) in list(self._on_the_way.items()):
            if sessions.get(client) != session:
                del self._on_the_way[key]
                self._lost.add(client)

    def forget_all(self) -> None:
        """The run is over, and its messages with it."""
        self._on_the_way.clear()

    def all_replies(self, timeout_seconds: float) -> tuple[Reply, ...]:
        """One reply per asked client, sorted; who gave none is told why."""
        late = {client for client, _ in self._on_the_way.values()}
        return tuple(
            self._replies.get(c) or self._absent(c, late, timeout_seconds) for c in self._asked
        )

    def _absent(self, client: str, late: set[str], timeout_seconds: float) -> Reply:
        if client in late:
            return no_answer(client, timeout_seconds)
        if client in self._lost:
            return Reply(client, error="connection lost before it answered")
        return not_connected(client)

    def _take(self, client: str, answer: Message) -> None:
        if not answer.has_error():
            self._replies[client] = self._reply(client, answer)
        elif answer.error.code in _GONE:
            self._lost.add(client)
        else:
            reason = answer.error.reason or f"error {answer.error.code}"
            self._replies[client] = Reply(client, error=_shown(reason))

    def _reply(self, client: str, answer: Message) -> Reply:
        try:
            reply = reply_of(unfolded(answer.content), self._request)
        except Exception as error:  # whatever a client sends, the others' round goes on
            return Reply(client, error=f"unusable answer: {type(error).__name__}: {error}")
        if reply.client != client:
            return Reply(client, error=f"answered in the name of {reply.client!r}")
        return reply

    def _message(self, client: str, session: Session, seconds: float) -> Message:
        own = self._request.for_client(client)
        packed = {**self._packed, **packed_arrays(self._request.own_arrays.get(client, {}))}
        return Message(
            folded(request_content(own, packed)),
            dst_node_id=session.node,
            message_type=message_type(self._request.task),
            ttl=seconds,
            group_id=str(self._request.round_num),
        )


def _shown(reason: str) -> str:
    """A client's words without what would steer a terminal, and not a book."""
    kept = "".join(c if c.isprintable() or c == "\n" else " " for c in reason[:_MOST_LETTERS])
    return kept if len(reason) <= _MOST_LETTERS else f"{kept}..."
