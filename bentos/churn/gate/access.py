"""Which paths there are, by which methods, and who may call them: the one table of both.

The gate refuses what is not in it, the documentation and the OpenAPI page print it, and a test
compares it with the routes of the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from fedchurn.serving.access.api_keys import ADMIN, PREDICT


class Access(StrEnum):
    """Who may call; without configured keys, everybody.

    OPEN asks for no key and counts against no rate limit: probes, and pages that hold no data.
    READ takes any key. PREDICT and ADMIN take a key with that scope: a key that may score
    customers may not change the service, and the key in Alertmanager's file may not score.
    """

    OPEN = "open"
    READ = "any key"
    PREDICT = "predict"
    ADMIN = "admin"

    @property
    def scopes(self) -> frozenset[str]:
        """Scopes of which a key needs one."""
        return _SCOPES[self]


_SCOPES = {
    Access.OPEN: frozenset[str](),
    Access.READ: frozenset([PREDICT, ADMIN]),
    Access.PREDICT: frozenset([PREDICT]),
    Access.ADMIN: frozenset([ADMIN]),
}

Routes = Mapping[str, Mapping[str, Access]]

ROUTES: Routes = {
    "/": {"GET": Access.OPEN},
    "/docs": {"GET": Access.OPEN},
    "/docs.js": {"GET": Access.OPEN},
    "/docs.css": {"GET": Access.OPEN},
    "/docs.json": {"GET": Access.OPEN},
    "/openapi.json": {"GET": Access.OPEN},
    "/livez": {"GET": Access.OPEN},
    "/healthz": {"GET": Access.OPEN},
    "/readyz": {"GET": Access.OPEN},
    "/health": {"GET": Access.OPEN},
    "/ready": {"GET": Access.OPEN},
    "/predict": {"POST": Access.PREDICT},
    "/predict/single": {"POST": Access.PREDICT},
    "/predict/batch": {"POST": Access.PREDICT},
    "/predict/adaptive": {"POST": Access.PREDICT},
    "/predict/template.csv": {"GET": Access.OPEN},
    "/model-info": {"GET": Access.READ},
    "/model_info": {"GET": Access.READ},
    "/model/info": {"GET": Access.READ},
    "/release": {"GET": Access.READ},
    "/experiments": {"GET": Access.READ},
    "/drift-status": {"GET": Access.READ},
    "/monitoring/drift": {"GET": Access.READ},
    "/fallback-stats": {"GET": Access.READ},
    "/monitoring/performance": {"GET": Access.READ},
    "/metrics": {"GET": Access.READ},
    "/check-drift": {"POST": Access.ADMIN},
    "/reload-model": {"POST": Access.ADMIN},
    "/feedback": {"POST": Access.ADMIN},
    "/monitoring/feedback": {"POST": Access.ADMIN},
    "/webhook/drift-alert": {"POST": Access.ADMIN},
}

# BentoML reads forms there, too, which nobody documents; one without a boundary is a 500.
ONLY_JSON = frozenset({"/predict/adaptive"})

# BentoML reads this body on the event loop: a megabyte holds everybody up for some 60 ms.
SMALLER_BODY_BYTES = {"/predict/adaptive": 2**20}
