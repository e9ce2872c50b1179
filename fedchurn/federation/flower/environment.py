"""Environment settings that Flower, Ray and TensorFlow read when they start.

An entry point calls ``apply_flower_settings`` before the first import of Flower; nothing is set at
import.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from fedchurn.quiet import apply_quiet_environment

# Processes that Ray starts inherit these; models of this size are slower on more threads.
FLOWER_ENVIRONMENT = {
    "FLWR_LOG_LEVEL": "ERROR",  # a failed client is named in the round's record
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as Ray's next version does; else it warns
}


def apply_flower_settings(environ: MutableMapping[str, str], flower_home: Path) -> None:
    """Put the settings into ``environ``: quiet, one thread, Flower's files under ``flower_home``.

    What the user has set is left as it is, ``FLWR_HOME`` excepted.
    """
    apply_quiet_environment(environ)
    for name, value in FLOWER_ENVIRONMENT.items():
        environ.setdefault(name, value)
    environ["FLWR_HOME"] = str(flower_home)
