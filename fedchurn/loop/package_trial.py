"""One real prediction by a bento from the store: served, asked over HTTP, and ended again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.loop.bento_server import BentoServer, bento_served, failed
from fedchurn.loop.package_store import StoredBento
from fedchurn.release.golden import TOLERANCE
from fedchurn.release.load import Release, load_release


@dataclass(frozen=True)
class Trial:
    """A prediction that was served.

    Attributes:
        url: where.
        customer: the body of the request.
        answer: what came back.
        start_seconds: from the start of the process to the first ready answer.
        answer_seconds: of the request.
    """

    url: str
    customer: dict[str, Any]
    answer: dict[str, Any]
    start_seconds: float
    answer_seconds: float


def try_bento(bento: StoredBento) -> Trial:
    """Serve ``bento`` and ask it about the first golden row.

    It writes to a folder of its own, so that no log and no metrics are touched.

    Raises:
        PackageError: it does not start, or does not answer as its release does.
    """
    release = load_release(bento.model_folder / "release")
    with bento_served(bento) as server:
        return try_server(server, release, dict(release.golden.rows[0]))


def try_server(server: BentoServer, release: Release, customer: Mapping[str, Any]) -> Trial:
    """Ask a served bento about a customer, and see that it answers as ``release`` does.

    Raises:
        PackageError: it does not.
    """
    asked = time.monotonic()
    answer = server.ask("POST", "/predict", customer)
    seconds = time.monotonic() - asked
    row = canonical_row(customer, release.contract).values
    expected = float(release.model.probabilities([row])[0])
    difference = abs(answer.get("churn_probability", float("nan")) - expected)
    if not difference <= TOLERANCE:
        raise failed(server.bento, f"answered {answer}, expected {expected:.8f}")
    return Trial(f"{server.url}/predict", dict(customer), answer, server.start_seconds, seconds)
