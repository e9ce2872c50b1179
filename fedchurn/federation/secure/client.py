"""The client's side of secure aggregation (Bonawitz et al. 2017, figure 4).

A client sends its sums under two masks: one that it shares with every other client in pairs, and
one of its own. Pairwise masks cancel in the sum. Of every client the server may learn either the
own mask (it is in the sum) or the pairwise ones (it dropped out), never both; a client that follows
the protocol cannot be talked into more. Equal messages are answered equally, so that a link may
carry one twice.
"""

from __future__ import annotations

import hashlib

import numpy as np

from fedchurn.federation.exchange import ClientHandler, Reply, Request
from fedchurn.federation.joining.facts import without_sums
from fedchurn.federation.secure.client_checks import ClientChecks, known_by
from fedchurn.federation.secure.client_setup import NOTHING, ClientMemory, ClientSetup, Store
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
    common_digest,
    names_digest,
    names_of,
    question_digest,
    unwrapped,
)
from fedchurn.federation.secure.pair_masks import (
    bound_setup,
    channel_purpose,
    own_purpose,
    pair_mask,
    seed_digest,
)
from fedchurn.federation.secure.ring import Words, add_words
from fedchurn.federation.secure.shares import SHARE_BYTES, split_secret
from fedchurn.federation.secure.summable import PLAIN, WIDE, check_summable, sums_of
from fedchurn.settings_secure import SecureSettings


class SecureHandler:
    """Answers the protocol's messages around another handler, and nothing about rows in the clear.

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
        self._checks = ClientChecks(client, settings)
        self._memory = ClientMemory({} if store is None else store)
        self._steps = {
            KEYS: self._keys,
            SHARES: self._shares,
            SUM: self._sum,
            UNMASK: self._unmask,
        }

    def with_store(self, store: Store) -> SecureHandler:
        """The same client with its secrets kept elsewhere."""
        return SecureHandler(self._client, self._handler, self._settings, store)

    def handle(self, request: Request) -> Reply:
        """The reply to one message of the protocol.

        Raises:
            FederationError: a plain question, or a message that the protocol does not allow.
        """
        if request.task in PLAIN:
            return without_sums(self._handler.handle(request))
        if request.task not in STEPS:
            raise self._checks.refusal(
                f"{request.task!r} was asked in the clear, but this client sends masked sums only",
                "switch federation.secure.on on where the rounds are driven",
            )
        return self._steps[request.task](request)

    def _keys(self, request: Request) -> Reply:
        setup_id = str(request.config["setup"])
        num_asked, num_questions = (int(request.config[k]) for k in ("num_asked", "num_questions"))
        self._checks.size(num_asked, num_questions)
        setup = self._memory.setup(setup_id)
        if setup is None or (setup.num_asked, len(setup.masks)) != (num_asked, num_questions):
            setup = ClientSetup(
                num_asked,
                self._settings.threshold(num_asked),
                new_secret().hex(),
                [new_secret().hex() for _ in range(num_questions)],
                [new_secret().hex() for _ in range(num_questions)],
            )
            self._memory.keep(setup_id, setup)
        publics = [public_key(bytes.fromhex(secret)) for secret in (setup.channel, *setup.masks)]
        return Reply(self._client, {PUBLICS: bytes_array(publics, PUBLIC_BYTES)})

    def _shares(self, request: Request) -> Reply:
        setup_id, setup = self._setup(request)
        clients = names_of(request, "clients")
        width = 1 + len(setup.masks)
        rows = byte_rows(request.arrays[PUBLICS], len(clients) * width, PUBLIC_BYTES)
        publics = dict(zip(clients, _chunks(rows, width), strict=True))
        self._checks.publics(setup, publics)
        mask_publics = {name: [key.hex() for key in keys[1:]] for name, keys in publics.items()}
        if setup.mask_publics and setup.mask_publics != mask_publics:
            raise self._checks.refusal("shares were given to other clients already")
        if not setup.mask_publics:
            setup.mask_publics = mask_publics
            setup.channel_publics = {name: keys[0].hex() for name, keys in publics.items()}
            self._split(setup_id, setup)
            self._memory.keep(setup_id, setup)
        messages = [bytes.fromhex(message) for message in setup.sealed]
        digests = [seed_digest(bytes.fromhex(seed)) for seed in setup.seeds]
        arrays = {
            SEALED: bytes_array(messages, _sealed_bytes(setup)),
            SEED_DIGESTS: bytes_array(digests, len(digests[0])),
        }
        return Reply(self._client, arrays)

    def _split(self, setup_id: str, setup: ClientSetup) -> None:
        """Share seeds and mask secrets among all that advertised keys."""
        names = sorted(setup.mask_publics)
        split = [
            [split_secret(bytes.fromhex(s), setup.threshold, len(names)) for s in pair]
            for pair in zip(setup.seeds, setup.masks, strict=True)
        ]
        for place, name in enumerate(names):
            mine = [[shares[place].hex() for shares in pair] for pair in split]
            if name == self._client:
                setup.shares[name] = mine
            else:
                plain = bytes.fromhex("".join(share for pair in mine for share in pair))
                key = self._channel(setup_id, setup, self._client, name)
                setup.sealed.append(sealed(key, plain).hex())

    def _sum(self, request: Request) -> Reply:
        setup_id, setup = self._setup(request)
        number, inner = int(request.config["question"]), unwrapped(request)
        question, asked = str(number), question_digest(inner)
        check_summable(inner.task)
        self._checks.question(setup, question, asked)
        self._take_shares(request, setup_id, setup)
        setup.asked[question] = asked
        self._memory.keep(setup_id, setup)  # used, whatever happens next
        arrays, numbers = sums_of(inner, self._handler.handle(inner))
        layout, words = to_words(arrays, numbers, setup.num_asked, wide=inner.task in WIDE)
        answer = hashlib.sha256(words.tobytes()).hexdigest() if words.any() else NOTHING
        self._checks.same_words(setup, question, answer)
        setup.answers[question] = answer
        self._memory.keep(setup_id, setup)
        bound = bound_setup(setup_id, common_digest(inner))
        masked = self._masked(setup_id, bound, setup, number, words, layout.num_single)
        text = np.frombuffer(layout.to_json().encode(), dtype=np.uint8)
        return Reply(self._client, {WORDS: masked, LAYOUT: text})

    def _take_shares(self, request: Request, setup_id: str, setup: ClientSetup) -> None:
        sharers = names_of(request, "sharers")
        self._checks.sharers(setup, sharers)
        if setup.sharers:
            return
        others = [name for name in sharers if name != self._client]
        rows = byte_rows(request.arrays[SEALED], len(others), _sealed_bytes(setup))
        for name, message in zip(others, rows, strict=True):
            plain = opened(self._channel(setup_id, setup, name, self._client), message, name)
            setup.shares[name] = [
                [share.hex() for share in pair] for pair in _chunks(_cut(plain, SHARE_BYTES), 2)
            ]
        setup.sharers = list(sharers)

    def _masked(
        self,
        setup_id: str,
        bound: str,
        setup: ClientSetup,
        number: int,
        words: Words,
        num_single: int,
    ) -> Words:
        own = own_mask_key(bytes.fromhex(setup.seeds[number]), own_purpose(setup_id, number))
        total = add_words(words, mask_words(own, len(words)), num_single)
        secret = bytes.fromhex(setup.masks[number])
        for name in setup.sharers:
            if name != self._client:
                public = bytes.fromhex(setup.mask_publics[name][number])
                place = (bound, number, self._client, name)
                mask = pair_mask(secret, public, place, len(words), num_single)
                total = add_words(total, mask, num_single)
        return total

    def _unmask(self, request: Request) -> Reply:
        setup_id, setup = self._setup(request)
        number, survivors = int(request.config["question"]), names_of(request, "survivors")
        self._checks.survivors(setup, str(number), survivors, self._memory)
        setup.unmasked[str(number)] = list(survivors)
        self._memory.keep(setup_id, setup)
        for known in known_by(setup, str(number)):
            self._memory.keep_answer(known, names_digest(survivors))
        absent = [name for name in setup.sharers if name not in survivors]
        seeds = [bytes.fromhex(setup.shares[name][number][0]) for name in survivors]
        masks = [bytes.fromhex(setup.shares[name][number][1]) for name in absent]
        arrays = {
            SEED_SHARES: bytes_array(seeds, SHARE_BYTES),
            MASK_SHARES: bytes_array(masks, SHARE_BYTES),
        }
        return Reply(self._client, arrays)

    def _channel(self, setup_id: str, setup: ClientSetup, sender: str, receiver: str) -> bytes:
        other = receiver if sender == self._client else sender
        return agreed_key(
            bytes.fromhex(setup.channel),
            bytes.fromhex(setup.channel_publics[other]),
            channel_purpose(setup_id, sender, receiver),
        )

    def _setup(self, request: Request) -> tuple[str, ClientSetup]:
        setup_id = str(request.config["setup"])
        return setup_id, self._checks.known(self._memory.setup(setup_id))


def _sealed_bytes(setup: ClientSetup) -> int:
    return SEAL_BYTES + 2 * SHARE_BYTES * len(setup.masks)


def _cut(text: bytes, width: int) -> list[bytes]:
    return [text[start : start + width] for start in range(0, len(text), width)]


def _chunks(rows: list[bytes], size: int) -> list[list[bytes]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
