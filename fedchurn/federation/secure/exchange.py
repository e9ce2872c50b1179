"""Secure aggregation around another exchange: one reply that is the sum of all clients' answers.

Only messages are involved, so every engine can carry it. A batch of questions to the same clients
shares one setup (two exchanges of messages); every question has keys of its own all the same, and
takes two more.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from fedchurn.errors import QuorumError
from fedchurn.federation.exchange import TOGETHER, Exchange, Reply, Request, asked_of
from fedchurn.federation.secure.client_checks import UNKNOWN_SETUP
from fedchurn.federation.secure.cost import SecureCost
from fedchurn.federation.secure.fixed_point import Layout, from_words
from fedchurn.federation.secure.messages import KEYS, SHARES, SUM, UNMASK, common_digest
from fedchurn.federation.secure.ring import Words
from fedchurn.federation.secure.server import (
    ServerSetup,
    Unmasking,
    common_layout,
    masked_vector,
)
from fedchurn.federation.secure.summable import check_request
from fedchurn.settings_secure import SecureSettings

NUM_QUESTIONS = 8
NUM_ATTEMPTS = 3
STEP_SECONDS = 120.0  # the protocol's own messages hold no training

_MOST_SETUPS = 4
_MOST_EVALUATIONS = 64


class SecureExchange:
    """Asks for sums in such a way that no single client's answer can be seen.

    Args:
        exchange: carries the messages to ``SecureHandler``s.
        settings: threshold and smallest cohort.
        num_questions: questions per setup.
        clock: seconds, monotonic; measures only.
    """

    def __init__(
        self,
        exchange: Exchange,
        settings: SecureSettings,
        *,
        num_questions: int = NUM_QUESTIONS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._exchange = exchange
        self._settings = settings
        self._num_questions = num_questions
        self._clock = clock
        self._setups: dict[tuple[str, ...], ServerSetup] = {}
        self._evaluations: dict[tuple[str, ...], tuple[Reply, ...]] = {}
        self.last_cost = SecureCost()

    def clients(self) -> tuple[str, ...]:
        """Names of all clients, sorted."""
        return self._exchange.clients()

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        """The sum as a reply of ``TOGETHER``, and one with ``error`` per client that is not in it.

        A model that was evaluated before is not evaluated again: with other clients there, both
        sums could be subtracted, and clients refuse it.

        Raises:
            FederationError: the answers are no sums.
            QuorumError: fewer clients than the threshold got to the end.
        """
        asked = asked_of(self.clients(), clients)
        check_request(request)
        self.last_cost = SecureCost()
        known = (common_digest(replace(request, round_num=0)), *asked)
        if known not in self._evaluations:
            replies = self._asked(request, asked, timeout_seconds)
            if request.task != "evaluate":
                return replies
            self._evaluations[known] = replies
            for oldest in list(self._evaluations)[:-_MOST_EVALUATIONS]:
                del self._evaluations[oldest]
        return self._evaluations[known]

    def _asked(
        self, request: Request, asked: tuple[str, ...], timeout_seconds: float
    ) -> tuple[Reply, ...]:
        for attempt in range(NUM_ATTEMPTS):
            question = _Question(self, request, asked, timeout_seconds)
            try:
                total = question.answer(is_last=attempt == NUM_ATTEMPTS - 1)
                break
            except _Forgotten:
                self._setups.pop(asked, None)
            except Exception:
                self._setups.pop(asked, None)
                raise
        if question.absences:
            self._setups.pop(asked, None)  # who comes back takes part in the next one
        absent = [Reply(client, error=why) for client, why in question.absences.items()]
        return tuple(sorted([total, *absent], key=lambda reply: reply.client))

    def setup(self, asked: tuple[str, ...]) -> tuple[ServerSetup, bool]:
        """A setup with an unused question, and whether it is new."""
        kept = self._setups.pop(asked, None)
        is_new = kept is None or kept.num_used >= kept.num_questions
        setup = kept
        if setup is None or is_new:
            threshold = self._settings.threshold(len(asked))
            setup_id = secrets.token_hex(16)
            setup = ServerSetup(setup_id, len(asked), threshold, self._num_questions)
        self._setups[asked] = setup
        for oldest in list(self._setups)[:-_MOST_SETUPS]:
            del self._setups[oldest]
        return setup, is_new

    def send(
        self, request: Request, clients: Sequence[str], timeout_seconds: float
    ) -> tuple[Reply, ...]:
        """Ask in the clear, and count what it costs."""
        begun = self._clock()
        replies = self._exchange.ask(request, clients, timeout_seconds)
        self.last_cost.add(request, replies, self._clock() - begun)
        return replies


_WORDS = {
    KEYS: "advertising keys",
    SHARES: "sharing keys",
    SUM: "sending the masked vector",
    UNMASK: "unmasking",
}


class _Forgotten(Exception):
    """A client that restarted lost its secrets: nothing was unmasked, so all can begin anew."""


class _Question:
    """One question on its way through the protocol."""

    def __init__(
        self,
        exchange: SecureExchange,
        request: Request,
        asked: tuple[str, ...],
        timeout_seconds: float,
    ) -> None:
        self._exchange = exchange
        self._request = request
        self._asked = asked
        self._timeout_seconds = timeout_seconds
        self.absences: dict[str, str] = {}
        self._is_last = False

    def answer(self, *, is_last: bool) -> Reply:
        """The sum.

        Raises:
            _Forgotten: a client does not know the setup any more, and this is not the last attempt.
            QuorumError: see ``SecureExchange.ask``.
        """
        self._is_last = is_last
        setup, is_new = self._exchange.setup(self._asked)
        if is_new:
            self._step(setup, setup.keys_request(), self._asked, setup.take_keys)
            self._step(setup, setup.shares_request(), setup.clients, setup.take_shares)
        number = setup.num_used
        setup.num_used += 1
        layout, vectors = self._masked(setup, number)
        survivors = tuple(sorted(vectors))
        asked = common_digest(self._request)
        sizes = (layout.num_words, layout.num_single)
        unmasking = Unmasking(setup, number, asked, survivors, *sizes)
        request = setup.unmask_request(number, survivors)
        helpers = self._step(setup, request, survivors, unmasking.check)
        words = unmasking.sum_of(vectors, helpers)
        arrays, numbers = from_words(layout, words)
        self.absences = {c: why for c, why in self.absences.items() if c not in survivors}
        return Reply(TOGETHER, arrays, numbers, members=survivors)

    def _masked(self, setup: ServerSetup, number: int) -> tuple[Layout, dict[str, Words]]:
        found: dict[str, tuple[str, Words]] = {}

        def take(reply: Reply) -> None:
            found[reply.client] = masked_vector(reply)

        request = setup.sum_request(self._request, number)
        self._step(setup, request, setup.sharers, take)
        layout = common_layout(found)
        others = sorted(client for client, (text, _) in found.items() if text != layout)
        self.absences.update(dict.fromkeys(others, "answered with other arrays than most"))
        self._check_enough(setup, len(found) - len(others), SUM)
        vectors = {client: words for client, (text, words) in found.items() if text == layout}
        return Layout.from_json(layout), vectors

    def _step(
        self,
        setup: ServerSetup,
        request: Request,
        clients: Sequence[str],
        take: Callable[[Reply], None],
    ) -> list[Reply]:
        """The usable replies to one message; who gives none is absent from here on."""
        timeout = self._timeout_seconds
        limit = timeout if request.task == SUM else min(timeout, STEP_SECONDS)
        usable = []
        for reply in self._exchange.send(request, clients, limit):
            why = reply.error
            try:
                if not why:
                    take(reply)
                    usable.append(reply)
            except (KeyError, TypeError, ValueError) as error:
                why = f"unusable answer: {error}"
            if UNKNOWN_SETUP in why and request.task != UNMASK and not self._is_last:
                raise _Forgotten
            if why:
                self.absences[reply.client] = f"{_WORDS[request.task]}: {why}"
        self._check_enough(setup, len(usable), request.task)
        return usable

    def _check_enough(self, setup: ServerSetup, num_left: int, step: str) -> None:
        if num_left >= setup.threshold:
            return
        told = "; ".join(f"{client}: {why}" for client, why in sorted(self.absences.items()))
        raise QuorumError(
            f"{num_left} of {setup.num_asked} clients got through {_WORDS[step]},"
            f" {setup.threshold} are needed to unmask a sum ({told or 'nobody failed'})",
            where=f"secure aggregation of {self._request.task}",
            next_step="mend the named clients, ask more clients, or lower"
            " federation.secure.threshold_fraction where clients allow it",
        )
