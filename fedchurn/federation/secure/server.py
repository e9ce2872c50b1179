"""The server's side of secure aggregation: hands on, adds up, and takes off the masks of a sum."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fedchurn.errors import FederationError
from fedchurn.federation.exchange import Arrays, Reply, Request, Scalar
from fedchurn.federation.secure.fixed_point import Layout
from fedchurn.federation.secure.masks import (
    PUBLIC_BYTES,
    SEAL_BYTES,
    mask_words,
    own_mask_key,
    public_key,
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
    UNMASK,
    WORDS,
    byte_rows,
    bytes_array,
    names_json,
    wrapped,
)
from fedchurn.federation.secure.pair_masks import (
    bound_setup,
    own_purpose,
    pair_mask,
    seed_digest,
)
from fedchurn.federation.secure.ring import Words, add_words, negative_words, sum_words
from fedchurn.federation.secure.shares import SHARE_BYTES, joined_secret

DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass
class ServerSetup:
    """Keys of one set of clients for a batch of questions; everything that the server has seen.

    Attributes:
        setup_id: a fresh random name.
        num_asked: clients that are asked.
        threshold: fewest clients behind a sum.
        num_questions: questions that the keys are good for.
        publics: by client, its channel key and one mask key per question.
        sealed: by receiver and sender, shares that only the receiver can open.
        seed_digests: by client, one per question.
        num_used: questions asked so far.
    """

    setup_id: str
    num_asked: int
    threshold: int
    num_questions: int
    publics: dict[str, list[bytes]] = field(default_factory=dict)
    sealed: dict[str, dict[str, bytes]] = field(default_factory=dict)
    seed_digests: dict[str, list[bytes]] = field(default_factory=dict)
    num_used: int = 0

    @property
    def clients(self) -> tuple[str, ...]:
        """Who advertised keys, sorted; a client's place in it numbers its shares."""
        return tuple(sorted(self.publics))

    @property
    def sharers(self) -> tuple[str, ...]:
        """Whose shares have arrived, sorted."""
        return tuple(sorted(self.seed_digests))

    def keys_request(self) -> Request:
        """Asks for public keys."""
        config: dict[str, Scalar] = {
            "setup": self.setup_id,
            "num_asked": self.num_asked,
            "num_questions": self.num_questions,
        }
        return Request(KEYS, 0, config=config)

    def take_keys(self, reply: Reply) -> None:
        """Keep a client's public keys.

        Raises:
            KeyError, ValueError: the reply holds none.
        """
        rows = byte_rows(reply.arrays[PUBLICS], 1 + self.num_questions, PUBLIC_BYTES)
        self.publics[reply.client] = rows

    def shares_request(self) -> Request:
        """Hands all public keys on, and asks for shares."""
        rows = [key for client in self.clients for key in self.publics[client]]
        config = {"setup": self.setup_id, "clients": names_json(self.clients)}
        return Request(SHARES, 0, {PUBLICS: bytes_array(rows, PUBLIC_BYTES)}, config)

    def take_shares(self, reply: Reply) -> None:
        """Keep what a client sealed for the others.

        Raises:
            KeyError, ValueError: the reply holds nothing of the kind.
        """
        others = [client for client in self.clients if client != reply.client]
        width = SEAL_BYTES + 2 * SHARE_BYTES * self.num_questions
        rows = byte_rows(reply.arrays[SEALED], len(others), width)
        digests = byte_rows(reply.arrays[SEED_DIGESTS], self.num_questions, DIGEST_BYTES)
        self.seed_digests[reply.client] = digests
        for other, message in zip(others, rows, strict=True):
            self.sealed.setdefault(other, {})[reply.client] = message

    def sum_request(self, request: Request, question: int) -> Request:
        """The question, with every client's sealed shares for it alone."""
        width = SEAL_BYTES + 2 * SHARE_BYTES * self.num_questions
        own: dict[str, Arrays] = {}
        for client in self.sharers:
            senders = [sender for sender in self.sharers if sender != client]
            rows = [self.sealed[client][sender] for sender in senders]
            own[client] = {
                **request.own_arrays.get(client, {}),
                SEALED: bytes_array(rows, width),
            }
        return wrapped(request, self.setup_id, question, self.sharers, own)

    def unmask_request(self, question: int, survivors: Sequence[str]) -> Request:
        """Asks for the shares that unmask the survivors' sum."""
        config: dict[str, Scalar] = {
            "setup": self.setup_id,
            "question": question,
            "survivors": names_json(survivors),
        }
        return Request(UNMASK, 0, config=config)


def masked_vector(reply: Reply) -> tuple[str, Words]:
    """Layout (as text) and masked words of a reply.

    Raises:
        KeyError, ValueError: the reply holds none.
    """
    text = np.asarray(reply.arrays[LAYOUT], dtype=np.uint8).tobytes().decode()
    words = np.asarray(reply.arrays[WORDS])
    layout = Layout.from_json(text)
    if words.dtype != np.uint64 or words.shape != (layout.num_words,):
        raise ValueError(f"{words.dtype} of shape {words.shape}, not {layout.num_words} words")
    return text, words.astype(np.uint64)


def common_layout(vectors: Mapping[str, tuple[str, Words]]) -> str:
    """The layout that most clients used; the first one of several."""
    return Counter(layout for layout, _ in vectors.values()).most_common(1)[0][0]


@dataclass(frozen=True)
class Unmasking:
    """Takes the masks off one sum.

    Attributes:
        setup: whose keys.
        question: its number.
        asked: ``common_digest`` of the question, which masks in pairs are bound to.
        survivors: whose vectors are in the sum, sorted.
        num_words: length of the vectors.
        num_single: of them, numbers of one word.
    """

    setup: ServerSetup
    question: int
    asked: str
    survivors: tuple[str, ...]
    num_words: int
    num_single: int

    @property
    def absent(self) -> tuple[str, ...]:
        """Whose pairwise masks are in the vectors, but not whose vector, sorted."""
        return tuple(c for c in self.setup.sharers if c not in self.survivors)

    def check(self, reply: Reply) -> None:
        """Look at the shape of a client's shares.

        Raises:
            KeyError, ValueError: they are not one per client.
        """
        byte_rows(reply.arrays[SEED_SHARES], len(self.survivors), SHARE_BYTES)
        byte_rows(reply.arrays[MASK_SHARES], len(self.absent), SHARE_BYTES)

    def sum_of(self, vectors: Mapping[str, Words], replies: Sequence[Reply]) -> Words:
        """The survivors' sum.

        Args:
            vectors: masked, by survivor.
            replies: shares, of the threshold's number of clients or more.

        Raises:
            FederationError: the shares do not belong to the keys: a client did not keep to the
                protocol.
        """
        total = sum_words(
            (vectors[client] for client in self.survivors), self.num_words, self.num_single
        )
        seeds, secrets = self._shares(replies)
        for number, client in enumerate(self.survivors):
            own = self._own_mask(client, seeds[number])
            total = self._add(total, negative_words(own, self.num_single))
        for number, client in enumerate(self.absent):
            total = self._without_pairs(total, client, secrets[number])
        return total

    def _shares(
        self, replies: Sequence[Reply]
    ) -> tuple[list[dict[int, bytes]], list[dict[int, bytes]]]:
        """Per survivor and per absent client: shares by their numbers."""
        seeds: list[dict[int, bytes]] = [{} for _ in self.survivors]
        masks: list[dict[int, bytes]] = [{} for _ in self.absent]
        for reply in replies:
            number = self.setup.clients.index(reply.client) + 1
            for found, name in ((seeds, SEED_SHARES), (masks, MASK_SHARES)):
                rows = byte_rows(reply.arrays[name], len(found), SHARE_BYTES)
                for shares, row in zip(found, rows, strict=True):
                    shares[number] = row
        return seeds, masks

    def _own_mask(self, client: str, shares: Mapping[int, bytes]) -> Words:
        seed = joined_secret(shares, self.setup.threshold)
        if seed_digest(seed) != self.setup.seed_digests[client][self.question]:
            raise self._wrong_shares(client)
        key = own_mask_key(seed, own_purpose(self.setup.setup_id, self.question))
        return mask_words(key, self.num_words)

    def _without_pairs(self, total: Words, client: str, shares: Mapping[int, bytes]) -> Words:
        """What an absent client would have added for each survivor cancels what they added."""
        secret = joined_secret(shares, self.setup.threshold)
        if public_key(secret) != self.setup.publics[client][1 + self.question]:
            raise self._wrong_shares(client)
        bound = bound_setup(self.setup.setup_id, self.asked)
        for survivor in self.survivors:
            mask = pair_mask(
                secret,
                self.setup.publics[survivor][1 + self.question],
                (bound, self.question, client, survivor),
                self.num_words,
                self.num_single,
            )
            total = self._add(total, mask)
        return total

    def _add(self, left: Words, right: Words) -> Words:
        return add_words(left, right, self.num_single)

    def _wrong_shares(self, client: str) -> FederationError:
        return FederationError(
            f"shares of {client!r}'s secret do not fit what it published: some client sent wrong"
            " ones",
            where=f"secure aggregation, setup {self.setup.setup_id}",
            next_step="leave out clients one by one to find it",
        )
