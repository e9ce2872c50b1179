"""Asks a Prefect server over HTTP to run the flow ``retrain``; the client library is not needed.

What is asked for is only a look into the inbox. When Prefect cannot be reached the trigger goes on
waiting there, for the next one who asks or for the flow's own schedule.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import logging
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedchurn.retraining.asking import claim_asking, forget_asking

logger = logging.getLogger(__name__)
FLOW = "retrain"
_TIMEOUT_SECONDS = 10.0
_WAITS_SECONDS = (1.0, 5.0)  # before the second and the third attempt
_FAILURES = (http.client.HTTPException, OSError, ValueError, KeyError)


class RetrainRequests:
    """Asks once for however many triggers, and never holds up the caller.

    Args:
        folder: ``places.retraining_folder``.
        contract: the deployment is ``retrain/CONTRACT``.
        api_url: such as ``http://127.0.0.1:4200/api``; with "" nobody is asked.
        auth_string: ``USER:PASSWORD`` of a server that asks for it, or "".
        waits_seconds: pauses between attempts.
    """

    def __init__(
        self,
        folder: Path,
        contract: str,
        api_url: str,
        auth_string: str = "",
        *,
        waits_seconds: Sequence[float] = _WAITS_SECONDS,
    ) -> None:
        self._folder = folder
        self._contract = contract
        self._api_url = api_url.rstrip("/")
        self._auth_string = auth_string
        self._waits_seconds = tuple(waits_seconds)

    def ask(self) -> threading.Thread | None:
        """Have the flow run soon, unless somebody has asked for that already.

        Returns:
            Who asks in the background; None when nobody needs to, or can.
        """
        if not self._api_url:
            return None
        try:
            if not claim_asking(self._folder):
                return None
        except OSError as error:
            logger.error("no retrain is asked for: %s", error)
            return None
        thread = threading.Thread(target=self._ask, name="ask-retrain", daemon=True)
        thread.start()
        return thread

    def _ask(self) -> None:
        key = f"alert-{uuid.uuid4().hex}"  # an attempt whose answer was lost makes no second run
        for wait_seconds in (*self._waits_seconds, None):
            try:
                run = create_flow_run(self._api_url, self._contract, key, self._auth_string)
                logger.info("asked Prefect for %s/%s: flow run %s", FLOW, self._contract, run)
                return
            except _FAILURES as error:
                failure = error
            if wait_seconds is not None:
                time.sleep(wait_seconds)
        logger.error(
            "Prefect at %s does not take a run of %s/%s (%s: %s); the trigger waits in the inbox",
            _without_password(self._api_url),
            FLOW,
            self._contract,
            type(failure).__name__,
            failure,
        )
        try:
            forget_asking(self._folder)
        except OSError as error:
            logger.error("the note that a retrain was asked for stays: %s", error)


def create_flow_run(api_url: str, contract: str, key: str, auth_string: str = "") -> str:
    """Schedule ``retrain/CONTRACT`` now; the id of its run, which is one for equal keys.

    Raises:
        HTTPException, OSError: the server does not answer, or refuses.
        ValueError, KeyError: its answer is none of Prefect's.
    """
    name = f"{FLOW}/{urllib.parse.quote(contract, safe='')}"
    deployment = _call(f"{api_url}/deployments/name/{name}", auth_string)
    where = f"{api_url}/deployments/{deployment['id']}/create_flow_run"
    return str(_call(where, auth_string, {"idempotency_key": key})["id"])


def _call(url: str, auth_string: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if auth_string:
        headers["Authorization"] = "Basic " + base64.b64encode(auth_string.encode()).decode()
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 the setting's pattern
    try:
        with _opener(url).open(request, timeout=_TIMEOUT_SECONDS) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"status {error.code}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{type(found).__name__} instead of an object")
    return found


def _opener(url: str) -> urllib.request.OpenerDirector:
    """A proxy of the environment must not stand between this machine and itself."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if is_here else []))


def _without_password(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
