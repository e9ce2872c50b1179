"""Headers of every answer: what a browser may do with it, and which other sites may read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

RawHeader = tuple[bytes, bytes]
RawHeaders = tuple[RawHeader, ...]

_SHARED: RawHeaders = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)

# Answers that are data: a browser that is made to show one as a page may load nothing.
SECURITY_HEADERS: RawHeaders = (
    *_SHARED,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# Pages: scripts, styles and requests of our own only, none of them inline.
PAGE_HEADERS: RawHeaders = (*_SHARED, (b"content-security-policy", _PAGE_POLICY))

_ALLOWED_REQUEST_HEADERS = b"authorization, content-type, x-api-key, traceparent, tracestate"
_PREFLIGHT_SECONDS = b"600"


def with_headers(given: Iterable[Sequence[bytes]], added: RawHeaders) -> list[RawHeader]:
    """``given`` plus the security headers that it lacks, plus ``added``; no ``server`` header."""
    kept = [(name.lower(), value) for name, value in given]
    kept = [header for header in kept if header[0] != b"server"]
    present = {name for name, _ in kept}
    is_page = any(n == b"content-type" and v.startswith(b"text/html") for n, v in kept)
    wanted = PAGE_HEADERS if is_page else SECURITY_HEADERS
    return [*kept, *(header for header in wanted if header[0] not in present), *added]


class Cors:
    """Says to browsers which web origins may call the service.

    Credentials are never allowed: keys come in headers that a page sets itself, so there is no
    cookie that another site could make a browser send.

    Args:
        origins: such as ``https://shop.example``, or ``*`` for all.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def allows(self, origin: bytes) -> bool:
        """Whether pages of ``origin`` may call."""
        return self._any or origin in self._origins

    def answer_headers(self, origin: bytes | None) -> RawHeaders:
        """Headers of an answer to a request with this ``Origin``."""
        # An answer that names one origin must not be taken from a cache for another.
        vary: RawHeaders = () if self._any else ((b"vary", b"Origin"),)
        if origin is None or not self.allows(origin):
            return vary
        allowed = b"*" if self._any else origin
        exposed = (b"access-control-expose-headers", b"retry-after")
        return (*vary, (b"access-control-allow-origin", allowed), exposed)

    def preflight_headers(self, origin: bytes, allow: bytes) -> RawHeaders:
        """Headers of the answer to a preflight; ``allow`` lists the methods of the path."""
        return (
            *self.answer_headers(origin),
            (b"access-control-allow-methods", allow),
            (b"access-control-allow-headers", _ALLOWED_REQUEST_HEADERS),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        )
