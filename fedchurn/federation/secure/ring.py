"""Arithmetic of masked vectors: words that wrap around, in which a sum of masks cancels exactly.

A vector is uint64 words: ``num_single`` numbers mod 2^64, then the low words of numbers mod 2^128,
then their high words.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_ONE = np.uint64(1)


def add_words(left: Words, right: Words, num_single: int) -> Words:
    """The sum, each number modulo its own power of two."""
    total = left + right
    num_wide = (len(total) - num_single) // 2
    low = slice(num_single, num_single + num_wide)
    total[num_single + num_wide :] += (total[low] < left[low]).astype(np.uint64)
    return total


def negative_words(words: Words, num_single: int) -> Words:
    """What added to ``words`` gives zero."""
    one = np.zeros_like(words)
    one[: num_single + (len(words) - num_single) // 2] = _ONE
    return add_words(~words, one, num_single)


def sum_words(parts: Iterable[Words], num_words: int, num_single: int) -> Words:
    """The sum of any number of vectors, zeros for none."""
    total = np.zeros(num_words, dtype=np.uint64)
    for part in parts:
        total = add_words(total, part, num_single)
    return total
