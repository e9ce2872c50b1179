"""Exit code 0 when the service of this container is ready: what its ``HEALTHCHECK`` runs.

    python -I bentos/churn/healthcheck.py

It needs no curl in the image, and imports nothing of ours, so that it stays quick. The port is that
of ``PORT`` or ``BENTOML_PORT``, as for ``bentoml serve``, else 3000.
"""

from __future__ import annotations

import os
import sys
import urllib.request

TIMEOUT_SECONDS = 3.0


def main() -> int:
    """0 when ``/readyz`` answers 200, else 1 with the reason on stderr."""
    port = os.environ.get("PORT") or os.environ.get("BENTOML_PORT") or "3000"
    # No proxy stands between a container and itself.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/readyz", timeout=TIMEOUT_SECONDS):
            return 0
    except OSError as error:  # a refusal (503) is one too
        sys.stderr.write(f"not ready on port {port}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
