"""A client's side: one process with one file of rows, which answers questions until it is ended.

Flower's own SuperNode starts a program per question, which it installs from what the server sent,
and looks for questions every three seconds. This process is a SuperNode to the link and a ClientApp
host at once: it keeps encoded rows and TensorFlow between questions, runs no code but its own, and
answers only Fedchurn's questions.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from fedchurn.errors import FederationError
from fedchurn.federation.exchange import ClientHandler, Reply, Request
from fedchurn.federation.flower.app import make_client_app
from fedchurn.federation.joining.refusal import REFUSED, WHY
from fedchurn.federation.superlink.channel import LinkAway, LinkRefused, RunOver
from fedchurn.federation.superlink.fleet import HEARTBEAT_SECONDS, FleetConnection
from fedchurn.federation.superlink.folding import folded, unfolded

logger = logging.getLogger(__name__)

SHORTEST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.02, 1.0
AWAY_SECONDS = 1.0  # between attempts to reach a link that is away
PARTS_SECONDS = 60.0  # a question whose parts do not follow is dropped


class Connection(Protocol):
    """What serving needs of a connection; see ``FleetConnection``."""

    node: int

    def receive(self, seconds: float) -> Message | None: ...

    def send(self, answer: Message, seconds_taken: float) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class ClientPlace:
    """Who a client is and where its link is.

    Attributes:
        name: the client's; that of its public key's file at the link.
        address: HOST:PORT of the link's Fleet API.
        roots: PEM certificate that vouches for the link.
        key: the client's private key.
        data: where its rows are, in words; it stays on this host.
        node_file: keeps the number of our node: a client that was killed can return at once.
    """

    name: str
    address: str
    roots: bytes
    key: ec.EllipticCurvePrivateKey
    data: str
    node_file: Path


def serve_client(
    place: ClientPlace,
    handler: ClientHandler,
    *,
    tell: Callable[[str], None] = logger.info,
    is_ended: Callable[[], bool] = lambda: False,
) -> None:
    """Answer questions until ``is_ended``; a link that is away is waited for.

    Args:
        place: who and where.
        handler: answers from the client's rows.
        tell: takes lines about connections for whoever watches.
        is_ended: asked between questions.

    Raises:
        FederationError: the link does not know the key, or its certificate is not vouched for.
    """
    listener = _Listener(handler, place.name, tell)
    app = make_client_app(lambda _context: listener, lambda _context: place.name)
    while not is_ended():
        connection = _connected(place, tell, is_ended)
        if connection is None:
            return
        tell(f"client {place.name}: connected to {place.address}")
        try:
            answer_questions(connection, app, place, is_ended=is_ended)
        except RunOver:
            tell(f"client {place.name}: the link forgot us; connecting again")
        finally:
            connection.close()


class _Listener:
    """Tells whoever watches why the driver refuses this client; passes all else on."""

    def __init__(self, handler: ClientHandler, name: str, tell: Callable[[str], None]) -> None:
        self._handler = handler
        self._name = name
        self._tell = tell

    def handle(self, request: Request) -> Reply:
        if request.task != REFUSED:
            return self._handler.handle(request)
        self._tell(f"client {self._name}: the driver says: {request.config[WHY]}")
        return Reply(self._name)


def answer_questions(
    connection: Connection,
    app: ClientApp,
    place: ClientPlace,
    *,
    is_ended: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch, answer, send, until ``is_ended``.

    Raises:
        RunOver: the link does not know the node.
    """
    config: dict[str, str | int | float | bool] = {"client": place.name, "data": place.data}
    poll_seconds, was_away = SHORTEST_POLL_SECONDS, False
    while not is_ended():
        try:
            question = connection.receive(PARTS_SECONDS)
            was_away = False
        except LinkAway as error:
            if not was_away:
                logger.warning("the link is away: %s", str(error)[:200])
            was_away = True
            sleep(AWAY_SECONDS)
            continue
        except LinkRefused as error:
            logger.warning("a question was lost: %s", error)
            continue
        if question is None:
            sleep(poll_seconds)
            poll_seconds = min(poll_seconds * 1.5, LONGEST_POLL_SECONDS)
            continue
        poll_seconds = SHORTEST_POLL_SECONDS
        begun = time.monotonic()
        context = Context(question.metadata.run_id, connection.node, config, RecordDict(), {})
        answer = _answer(app, question, context)
        _sent(connection, answer, time.monotonic() - begun)


def _answer(app: ClientApp, question: Message, context: Context) -> Message:
    """The app's answer; a question that is none of ours is answered with an error."""
    try:
        question.content = unfolded(question.content)
        answer = app(question, context)
        answer.content = folded(answer.content)
        return answer
    except Exception as raised:  # a client outlives any question
        logger.warning("a question was not answered: %s", raised)
        error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, f"{type(raised).__name__}: {raised}")
        return Message(error, reply_to=question)


def _sent(connection: Connection, answer: Message, seconds_taken: float) -> None:
    """Hand over an answer; one that cannot be is dropped, for the driver asks again."""
    try:
        connection.send(answer, seconds_taken)
    except RunOver:
        logger.info("an answer came too late: its run is over")
    except (LinkAway, LinkRefused) as error:
        logger.warning("an answer was lost: %s", str(error)[:200])


def _connected(
    place: ClientPlace, tell: Callable[[str], None], is_ended: Callable[[], bool]
) -> FleetConnection | None:
    """A connection, as soon as the link is there; None if we ended before.

    Raises:
        FederationError: see ``serve_client``.
    """
    stale_node, was_told = _noted_node(place.node_file), False
    busy_until = time.monotonic() + 2 * HEARTBEAT_SECONDS + AWAY_SECONDS
    while not is_ended():
        try:
            connection = FleetConnection(place.address, place.roots, place.key, stale_node)
            place.node_file.parent.mkdir(parents=True, exist_ok=True)
            place.node_file.write_text(str(connection.node), encoding="ascii")
            return connection
        except LinkAway:
            why = "no link answers at"
        except (LinkRefused, RunOver) as error:
            # A client that was killed counts as connected until its heartbeat is missed.
            if "could not be activated" not in str(error) or time.monotonic() > busy_until:
                raise _refused(place, str(error)) from error
            why = "this key is still connected to"
        if not was_told:
            tell(f"client {place.name}: {why} {place.address}; trying again")
            was_told = True
        time.sleep(AWAY_SECONDS)
    return None


def _refused(place: ClientPlace, why: str) -> FederationError:
    if "No SuperNode found" in why:
        what = "the link does not know this client's key"
        step = "put the client's NAME.pub into the link's clients folder: it is taken up at once"
    elif "could not be activated" in why:
        what = "another process is connected with this client's key"
        step = "end it, or make this client a key of its own"
    else:
        what, step = f"the link refused: {why}", "see the link's log"
    return FederationError(what, where=f"client {place.name}, link {place.address}", next_step=step)


def _noted_node(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
