"""Imports TensorFlow without its start-up messages.

TensorFlow's C++ code writes to file descriptor 2 before any of its log settings is read, so the
descriptor is turned away while it is imported. What Python raises is raised as ever.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def load_tensorflow() -> None:
    """Import TensorFlow (6 to 10 seconds) unless it is imported already."""
    if "tensorflow" in sys.modules:
        return
    with _stderr_away():
        import tensorflow as tf

        # The first look at devices is what makes it talk about missing drivers.
        tf.config.list_physical_devices()


@contextmanager
def _stderr_away() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
