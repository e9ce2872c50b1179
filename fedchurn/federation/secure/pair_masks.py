"""What keys of secure aggregation are derived for, equal at both ends; masks in pairs."""

from __future__ import annotations

import hashlib
import json

from fedchurn.federation.secure.masks import agreed_key, mask_words
from fedchurn.federation.secure.ring import Words, negative_words


def bound_setup(setup_id: str, asked: str) -> str:
    """Setup and question (its ``common_digest``): what masks in pairs are bound to.

    Two clients that were asked different things find different masks. These do not cancel, so a
    server that asks all but one what it can foresee gets chance, not that one's answer.
    """
    return f"{setup_id} {asked}"


def own_purpose(setup_id: str, question: int) -> str:
    """Of a client's own mask."""
    return json.dumps(["fedchurn own mask", setup_id, question])


def channel_purpose(setup_id: str, sender: str, receiver: str) -> str:
    """Of the key that shares are sealed with."""
    return json.dumps(["fedchurn shares", setup_id, sender, receiver])


def seed_digest(seed: bytes) -> bytes:
    """Says of shares that they are the right ones, and nothing of the seed (128 bits)."""
    return hashlib.sha256(b"fedchurn seed" + seed).digest()


def pair_mask(
    secret: bytes,
    other_public: bytes,
    place: tuple[str, int, str, str],
    num_words: int,
    num_single: int,
) -> Words:
    """The mask that a client adds for another one, who adds its negative.

    Args:
        secret: of either of the two.
        other_public: the other's key.
        place: ``bound_setup``, number of the question, the client, the other one.
        num_words: length of the mask.
        num_single: of them, numbers of one word.
    """
    setup, question, client, other = place
    first, second = sorted((client, other))
    purpose = json.dumps(["fedchurn pair mask", setup, question, first, second])
    mask = mask_words(agreed_key(secret, other_public, purpose), num_words)
    return mask if client == first else negative_words(mask, num_single)
