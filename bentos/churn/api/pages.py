"""The documentation page and the OpenAPI document behind it; no script of anybody else's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from bentos.churn.api.answers import json_bytes
from bentos.churn.api.openapi import openapi_document
from bentos.churn.api.parts import ApiParts
from bentos.churn.gate.headers import PAGE_HEADERS
from fedchurn.contract.schema import Contract

_FOLDER = Path(__file__).parent / "docs_page"


class Pages:
    """See the module docstring; ``parts`` is asked once per request."""

    def __init__(self, parts: Callable[[], ApiParts]) -> None:
        self._parts = parts
        self._made: tuple[Contract, bytes] | None = None

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI document of the contract that is served; made once per contract."""
        parts = self._parts()
        contract = parts.live.state.champion.contract
        if self._made is None or self._made[0] is not contract:
            document = openapi_document(contract, keys_needed=bool(parts.settings.api_keys))
            self._made = (contract, json_bytes(document))
        return Response(self._made[1], media_type="application/json")

    async def docs(self, _: Request) -> Response:
        """The page."""
        return _file("docs.html", "text/html")

    async def docs_script(self, _: Request) -> Response:
        """What fills it."""
        return _file("docs.js", "text/javascript")

    async def docs_style(self, _: Request) -> Response:
        """How it looks."""
        return _file("docs.css", "text/css")


def _file(name: str, media_type: str) -> Response:
    headers = {key.decode(): value.decode() for key, value in PAGE_HEADERS}
    return Response(_content(name), media_type=media_type, headers=headers)


@cache
def _content(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
