"""Settings that keep third-party tools quiet: no telemetry, no needless processes, patience.

TensorFlow stays on the processor: models of this size are slower on a graphics card. One thread for
linear algebra: sums of equal rows have equal bytes on machines with more or fewer cores.
One source for every entry point; ``infra/quiet.env`` is the same table for shells and make, and a
test keeps the two equal. Spellings matter: MLflow and BentoML take only the word ``true``.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from types import MappingProxyType

QUIET_ENVIRONMENT = MappingProxyType(
    {
        "DO_NOT_TRACK": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "BENTOML_DO_NOT_TRACK": "True",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
)


def apply_quiet_environment(environ: MutableMapping[str, str]) -> None:
    """Put the quiet settings into ``environ``, leaving what the user has set as it is.

    Call it at an entry point, before the tools are imported; nothing calls it at import.
    """
    for name, value in QUIET_ENVIRONMENT.items():
        environ.setdefault(name, value)
