"""Noise from a secret key: random to those without the key, the same again for those who have it.

The key is drawn once per training from the operating system and kept with the checkpoints, so that
a training that was killed goes on with the very noise it would have had. It is never published: who
knows the key can take the noise away again. For the same reason no seed from the settings is used.

Numbers come from SHAKE-256 (FIPS 202) over key and label, so numbers of one label tell nothing
about those of another. They are doubles: attacks on the last bits of floating-point noise (Mironov
2012) are not ruled out.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 32
_DOMAIN = b"fedchurn noise 1\x00"


def new_key() -> NDArray[np.uint8]:
    """A key (32,) from the operating system's entropy."""
    return np.frombuffer(secrets.token_bytes(KEY_BYTES), dtype=np.uint8).copy()


def uniforms(key: NDArray[np.generic], label: str, count: int) -> NDArray[np.float64]:
    """So many numbers strictly between 0 and 1, of 52 random bits each."""
    secret = np.asarray(key, dtype=np.uint8).tobytes()
    stream = hashlib.shake_256(_DOMAIN + secret + label.encode()).digest(8 * count)
    whole = np.frombuffer(stream, dtype="<u8") >> np.uint64(12)
    return (whole.astype(np.float64) + 0.5) / 2.0**52


def normals(key: NDArray[np.generic], label: str, count: int) -> NDArray[np.float64]:
    """So many standard normal numbers, by the inverse of their distribution."""
    from scipy.special import ndtri  # a third of a second, and only private trainings need it

    return np.asarray(ndtri(uniforms(key, label, count)), dtype=np.float64)


class QuestionNoise:
    """Noise that a client adds itself: another one for every question, the same for the same.

    A question that is asked again, because an answer was lost or because somebody would take the
    mean of many answers, gets the very answer that it got before. The key never leaves the process.
    """

    def __init__(self) -> None:
        self._key = new_key()

    def of(self, question: str) -> Callable[[int], NDArray[np.float64]]:
        """So many standard normal numbers for the question of this digest."""
        return lambda count: normals(self._key, f"question {question}", count)
