"""Traces of requests, as answering sees them; costs next to nothing when it is off.

    churn-prediction
    ├── feature-engineering   judging rows and making them canonical
    ├── model-inference       the fallback chain
    └── explainability        contributions of the fields

No value of a row, no customer's id and no message of an error goes into a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol

from fedchurn.serving.serving_settings import ServingSettings

ROOT = "churn-prediction"
FEATURES = "feature-engineering"
INFERENCE = "model-inference"
EXPLAINABILITY = "explainability"

Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """A part of a request, and whatever there is to say about it."""

    def __enter__(self) -> Span: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def span(self, name: str) -> Span:
        """A part of this part."""

    def note(self, describe: Callable[..., Attributes], *args: Any) -> None:
        """Attach ``describe(*args)``, which is called only if somebody will see it."""


class Tracing(Protocol):
    """Where traces begin."""

    def request(self) -> Span:
        """The root span of a request, or one that does nothing if the request is not traced."""

    def due(self) -> bool:
        """Whether the fast lane must let the next request take the long way, to be traced there."""

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Deliver what waits, as far as that takes no longer than ``timeout_seconds``."""


class NoSpan:
    """A span that nobody sees."""

    def __enter__(self) -> NoSpan:
        return self

    def __exit__(self, *raised: object) -> None:
        return None

    def span(self, name: str) -> NoSpan:  # noqa: ARG002
        return self

    def note(self, describe: Callable[..., Attributes], *args: Any) -> None:  # noqa: ARG002
        return None


NO_SPAN = NoSpan()


class NoTracing:
    """Tracing that is off."""

    def request(self) -> Span:
        return NO_SPAN

    def due(self) -> bool:
        return False

    def close(self, timeout_seconds: float = 2.0) -> None:  # noqa: ARG002
        return None


def make_tracing(settings: ServingSettings) -> Tracing:
    """The tracing that the settings ask for; begins a thread if it is on."""
    if settings.trace == "off" or not settings.trace_fraction:
        return NoTracing()
    # Loads the SDK and an HTTP client, which a service without traces must not pay for.
    from fedchurn.serving.tracing.otel_tracing import otlp_tracing

    return otlp_tracing(settings)
