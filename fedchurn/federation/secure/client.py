"""The client's side of secure aggregation (Bonawitz et al. 2017, figure 4).

A client sends its sums under two masks: one that it shares with every other client in pairs, and
one of its own. Pairwise masks cancel in the sum. Of every other client the server may learn either
the own mask (it is in the sum) or the pairwise one (it dropped out), never both; a client that
follows the protocol cannot be talked into more.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from fedchurn.errors import FederationError
from fedchurn.federation.exchange import ClientHandler, Reply, Request
from fedchurn.federation.secure.client_setup import ClientMemory, ClientSetup, Store
from fedchurn.federation.secure.fixed_point import to_words
from fedchurn.federation.secure.masks import (
    PUBLIC_BYTES,
    SEAL_BYTES,
    agreed_key,
    mask_words,
    new_secret,
    opened,
    own_mask_key,
    public_key,
    sealed,
)
from fedchurn.federation.secure.messages import (
    KEYS,
    LAYOUT,
    MASK_SHARES,
    PUBLICS,
    SEALED,
    SEED_DIGESTS,
    SEED_SHARES,
    SHARES,
    STEPS,
    SUM,
    UNMASK,
    WORDS,
    byte_rows,
    bytes_array,
    names_digest,
    names_of,
    question_digest,
    unwrapped,
)
from fedchurn.federation.secure.pair_masks import (
    channel_purpose,
    own_purpose,
    pair_mask,
    seed_digest,
)
from fedchurn.federation.secure.ring import Words, add_words
from fedchurn.federation.secure.settings import SecureSettings
from fedchurn.federation.secure.shares import SHARE_BYTES, split_secret
from fedchurn.federation.secure.summable import WIDE, check_summable, sums_of

MAX_QUESTIONS = 64  # of one setup


class SecureHandler:
    """Answers the protocol's messages around another handler, and nothing in the clear.

    Args:
        client: the client's name.
        handler: answers questions about the client's rows.
        settings: the client's own; a server cannot weaken them.
        store: keeps secrets between messages; a new dict by default.
    """

    def __init__(
        self,
        client: str,
        handler: ClientHandler,
        settings: SecureSettings,
        store: Store | None = None,
    ) -> None:
        self._client = client
        self._handler = handler
        self._settings = settings
        self._memory = ClientMemory({} if store is None else store)
        self._steps = {
            KEYS: self._keys,
            SHARES: self._shares,
            SUM: self._sum,
            UNMASK: self._unmask,
        }

    def handle(self, request: Request) -> Reply:
        """The reply to one message of the protocol.

        Raises:
            FederationError: a plain question, or a message that the protocol does not allow.
        """
        if request.task not in STEPS:
            raise self._refusal(
                f"{request.task!r} was asked in the clear, but this client sends masked sums only",
                "switch federation.secure.on on where the rounds are driven",
            )
        return self._steps[request.task](request)

    def _keys(self, request: Request) -> Reply:
        num_asked, num_questions = (int(request.config[k]) for k in ("num_asked", "num_questions"))
        self._check_size(num_asked)
        if not 1 <= num_questions <= MAX_QUESTIONS:
            raise self._refusal(f"keys for {num_questions} questions", f"1 to {MAX_QUESTIONS}")
        setup = ClientSetup(
            num_asked,
            self._settings.threshold(num_asked),
            new_secret().hex(),
            [new_secret().hex() for _ in range(num_questions)],
            [new_secret().hex() for _ in range(num_questions)],
        )
        self._memory.keep(str(request.config["setup"]), setup)
        publics = [public_key(bytes.fromhex(secret)) for secret in (setup.channel, *setup.masks)]
        return Reply(self._client, {PUBLICS: bytes_array(publics, PUBLIC_BYTES)})

    def _check_size(self, num_asked: int) -> None:
        expected = self._settings.num_clients
        if expected is not None and num_asked != expected:
            raise self._refusal(
                f"a question to {num_asked} clients is refused: this client was told of {expected}",
                "ask that many clients, or agree on another federation.secure.num_clients",
            )
        if num_asked < self._settings.min_clients:
            raise self._refusal(
                f"a question to {num_asked} clients is refused:"
                f" a sum needs {self._settings.min_clients}",
                "ask more clients",
            )

    def _shares(self, request: Request) -> Reply:
        setup_id, setup = self._setup(request)
        if setup.mask_publics:
            raise self._refusal("shares were given already", "begin a new setup")
        clients = names_of(request, "clients")
        rows = byte_rows(
            request.arrays[PUBLICS],
            len(clients) * (1 + len(setup.masks)),
            PUBLIC_BYTES,
        )
        publics = dict(zip(clients, _chunks(rows, 1 + len(setup.masks)), strict=True))
        self._check_publics(setup, publics)
        setup.channel_publics = {name: rows[0].hex() for name, rows in publics.items()}
        setup.mask_publics = {name: [r.hex() for r in rows[1:]] for name, rows in publics.items()}
        num_clients = len(clients)
        split = [
            [split_secret(bytes.fromhex(s), setup.threshold, num_clients) for s in pair]
            for pair in zip(setup.seeds, setup.masks, strict=True)
        ]
        messages = []
        for place, name in enumerate(clients):
            mine = [[shares[place].hex() for shares in pair] for pair in split]
            if name == self._client:
                setup.shares[name] = mine
            else:
                plain = bytes.fromhex("".join(share for pair in mine for share in pair))
                messages.append(sealed(self._channel(setup_id, setup, self._client, name), plain))
        self._memory.keep(setup_id, setup)
        digests = [seed_digest(bytes.fromhex(seed)) for seed in setup.seeds]
        return Reply(
            self._client,
            {
                SEALED: bytes_array(messages, _sealed_bytes(setup)),
                SEED_DIGESTS: bytes_array(digests, len(digests[0])),
            },
        )

    def _check_publics(self, setup: ClientSetup, publics: dict[str, list[bytes]]) -> None:
        own = [public_key(bytes.fromhex(secret)) for secret in (setup.channel, *setup.masks)]
        every = [key for keys in publics.values() for key in keys]
        if publics.get(self._client) != own or len(set(every)) != len(every):
            raise self._refusal(
                "the keys that the server handed on are not those that were advertised",
                "do not trust this server",
            )
        self._check_behind_sum(setup, publics)
        if len(publics) > setup.num_asked:
            raise self._refusal(
                f"keys of {len(publics)} clients, but {setup.num_asked} were to be asked",
                "do not trust this server",
            )

    def _check_behind_sum(self, setup: ClientSetup, clients: Collection[str]) -> None:
        if len(clients) < setup.threshold:
            raise self._refusal(
                f"{len(clients)} of {setup.num_asked} clients are left, {setup.threshold} must"
                " be behind a sum",
                "ask again when more clients answer",
            )

    def _sum(self, request: Request) -> Reply:
        setup_id, setup = self._setup(request)
        question, inner = str(int(request.config["question"])), unwrapped(request)
        check_summable(inner.task)
        if question in setup.asked or int(question) >= len(setup.masks):
            raise self._refusal(
                f"mask {question} of this setup is used or was never made", "begin a new setup"
            )
        self._take_shares(request, setup_id, setup)
        setup.asked[question] = question_digest(inner)
        self._memory.keep(setup_id, setup)  # used, whatever happens next
        arrays, numbers = sums_of(inner, self._handler.handle(inner))
        layout, words = to_words(arrays, numbers, setup.num_asked, wide=inner.task in WIDE)
        masked = self._masked(setup_id, setup, int(question), words, layout.num_single)
        text = np.frombuffer(layout.to_json().encode(), dtype=np.uint8)
        return Reply(self._client, {WORDS: masked, LAYOUT: text})

    def _take_shares(self, request: Request, setup_id: str, setup: ClientSetup) -> None:
        sharers = names_of(request, "sharers")
        if setup.sharers:
            if list(sharers) != setup.sharers:
                raise self._refusal("other clients share keys than before", "begin a new setup")
            return
        if self._client not in sharers or not set(sharers) <= set(setup.mask_publics):
            raise self._refusal("strangers are said to share keys", "do not trust this server")
        self._check_behind_sum(setup, sharers)
        others = [name for name in sharers if name != self._client]
        rows = byte_rows(request.arrays[SEALED], len(others), _sealed_bytes(setup))
        for name, message in zip(others, rows, strict=True):
            plain = opened(self._channel(setup_id, setup, name, self._client), message, name)
            setup.shares[name] = [
                [share.hex() for share in pair] for pair in _chunks(_cut(plain, SHARE_BYTES), 2)
            ]
        setup.sharers = list(sharers)

    def _masked(
        self, setup_id: str, setup: ClientSetup, question: int, words: Words, num_single: int
    ) -> Words:
        own = own_mask_key(bytes.fromhex(setup.seeds[question]), own_purpose(setup_id, question))
        total = add_words(words, mask_words(own, len(words)), num_single)
        secret = bytes.fromhex(setup.masks[question])
        for name in setup.sharers:
            if name != self._client:
                public = bytes.fromhex(setup.mask_publics[name][question])
                place = (setup_id, question, self._client, name)
                mask = pair_mask(secret, public, place, len(words), num_single)
                total = add_words(total, mask, num_single)
        return total

    def _unmask(self, request: Request) -> Reply:
        setup_id, setup = self._setup(request)
        question, survivors = str(int(request.config["question"])), names_of(request, "survivors")
        self._check_survivors(setup, question, survivors)
        self._check_same_sum(setup.asked[question], survivors)
        setup.unmasked[question] = list(survivors)
        self._memory.keep(setup_id, setup)
        self._memory.keep_answer(setup.asked[question], names_digest(survivors))
        absent = [name for name in setup.sharers if name not in survivors]
        of = int(question)
        seeds = [bytes.fromhex(setup.shares[name][of][0]) for name in survivors]
        masks = [bytes.fromhex(setup.shares[name][of][1]) for name in absent]
        return Reply(
            self._client,
            {
                SEED_SHARES: bytes_array(seeds, SHARE_BYTES),
                MASK_SHARES: bytes_array(masks, SHARE_BYTES),
            },
        )

    def _check_survivors(
        self, setup: ClientSetup, question: str, survivors: tuple[str, ...]
    ) -> None:
        if question not in setup.asked:
            raise self._refusal(f"question {question} was not answered", "ask it first")
        before = setup.unmasked.get(question)
        if before is not None and tuple(before) != survivors:
            raise self._refusal(
                f"this sum was unmasked for {', '.join(before)}; other survivors would lay bare"
                " who is in one set only",
                "do not trust this server",
            )
        if not set(survivors) <= set(setup.sharers):
            raise self._refusal("strangers are said to survive", "do not trust this server")
        self._check_behind_sum(setup, survivors)

    def _check_same_sum(self, question: str, survivors: tuple[str, ...]) -> None:
        known = self._memory.survivors_of(question)
        if known is not None and known != names_digest(survivors):
            raise self._refusal(
                "the same question was answered by other clients together before: the two sums"
                " could be subtracted",
                "wait for the clients that answered then, or begin a new run",
            )

    def _channel(self, setup_id: str, setup: ClientSetup, sender: str, receiver: str) -> bytes:
        other = receiver if sender == self._client else sender
        return agreed_key(
            bytes.fromhex(setup.channel),
            bytes.fromhex(setup.channel_publics[other]),
            channel_purpose(setup_id, sender, receiver),
        )

    def _setup(self, request: Request) -> tuple[str, ClientSetup]:
        setup_id = str(request.config["setup"])
        setup = self._memory.setup(setup_id)
        if setup is None:
            raise self._refusal("this setup is not known here", "begin a new setup")
        return setup_id, setup

    def _refusal(self, what: str, next_step: str) -> FederationError:
        return FederationError(what, where=f"client {self._client}", next_step=next_step)


def _sealed_bytes(setup: ClientSetup) -> int:
    return SEAL_BYTES + 2 * SHARE_BYTES * len(setup.masks)


def _cut(text: bytes, width: int) -> list[bytes]:
    return [text[start : start + width] for start in range(0, len(text), width)]


def _chunks(rows: list[bytes], size: int) -> list[list[bytes]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
