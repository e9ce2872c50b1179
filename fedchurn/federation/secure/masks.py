"""Keys and masks of secure aggregation, on the primitives of ``cryptography``.

Agreement is X25519 (RFC 7748) with HKDF-SHA-256 (RFC 5869), mask streams are AES-256 in counter
mode, messages between clients are sealed with ChaCha20-Poly1305 (RFC 8439). Nothing here is our own
mathematics.
"""

from __future__ import annotations

import secrets

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedchurn.errors import FederationError
from fedchurn.federation.secure.ring import Words

SECRET_BYTES = 16  # what pycryptodome's Shamir shares; X25519 withstands 2^128 steps, too
PUBLIC_BYTES = 32
SEAL_BYTES = 12 + 16  # nonce and tag

_BYTES_PER_WORD = 8


def new_secret() -> bytes:
    """A fresh secret of ``SECRET_BYTES``, from the operating system."""
    return secrets.token_bytes(SECRET_BYTES)


def public_key(secret: bytes) -> bytes:
    """The public key that belongs to a secret."""
    return _private(secret).public_key().public_bytes_raw()


def agreed_key(secret: bytes, other_public: bytes, purpose: str) -> bytes:
    """32 bytes that both owners of two secrets find, and nobody else; one per purpose.

    Raises:
        FederationError: the other's key is none.
    """
    try:
        shared = _private(secret).exchange(X25519PublicKey.from_public_bytes(other_public))
    except ValueError as error:
        raise FederationError(f"a client's public key cannot be used: {error}") from error
    return _derived(shared, purpose)


def own_mask_key(seed: bytes, purpose: str) -> bytes:
    """The key of a client's own mask."""
    return _derived(seed, purpose)


def mask_words(key: bytes, num_words: int) -> Words:
    """The key's mask, (num_words,); a key makes one mask only, so the counter starts at zero."""
    stream = Cipher(AES(key), CTR(bytes(16))).encryptor()
    return np.frombuffer(stream.update(bytes(num_words * _BYTES_PER_WORD)), dtype="<u8")


def sealed(key: bytes, plain: bytes) -> bytes:
    """Encrypted and authenticated."""
    nonce = secrets.token_bytes(12)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, plain, None)


def opened(key: bytes, message: bytes, sender: str) -> bytes:
    """The text behind ``sealed``.

    Raises:
        FederationError: it is not what the sender sealed.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(message[:12], message[12:], None)
    except InvalidTag as error:
        raise FederationError(
            f"the shares of {sender!r} were changed on their way",
            next_step="find out who stands between the clients",
        ) from error


def _private(secret: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(_derived(secret, "fedchurn private key"))


def _derived(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret)
