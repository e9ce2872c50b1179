"""A client that does not take the server's word for the noise on its updates."""

from __future__ import annotations

from fedchurn.errors import PrivacyError
from fedchurn.federation.client.update import UpdateRules
from fedchurn.federation.exchange import ClientHandler, Reply, Request
from fedchurn.federation.joining.facts import without_sums
from fedchurn.privacy.policy import PrivacySettings

# What a local private training and its promotion ask; sums of rows are not among it.
_ALLOWED = ("join", "local_epochs", "evaluate", "compare")


class NoiseFloor:
    """Answers a server only with as much noise as the client's own settings ask for.

    Args:
        client: the client's name.
        handler: answers for the client.
        min_noise_multiplier: least noise over twice the clip norm, above 0.
    """

    def __init__(self, client: str, handler: ClientHandler, min_noise_multiplier: float) -> None:
        self._client = client
        self._handler = handler
        self._least = min_noise_multiplier

    def handle(self, request: Request) -> Reply:
        """The reply.

        Raises:
            PrivacyError: the question wants more than this client gives.
        """
        if request.task not in _ALLOWED:
            raise self._refusal(f"asked for {request.task}, which leaves without noise")
        if request.task == "local_epochs":
            self._check(UpdateRules.from_json(str(request.config["update"])))
        reply = self._handler.handle(request)
        return without_sums(reply) if request.task == "join" else reply

    def _check(self, rules: UpdateRules) -> None:
        if rules.clip_norm is None:
            raise self._refusal("asked for an update of any length")
        multiplier = rules.noise_std / (2 * rules.clip_norm)
        if not multiplier >= self._least * (1 - 1e-9):
            raise self._refusal(
                f"asked for noise multiplier {multiplier:.3g}, gives {self._least:.3g} at least"
            )

    def _refusal(self, why: str) -> PrivacyError:
        return PrivacyError(
            why,
            where=f"client {self._client}, privacy.min_noise_multiplier",
            next_step="train with privacy.mode=local and a smaller epsilon, or more rounds",
        )


def with_noise_floor(
    client: str, handler: ClientHandler, settings: PrivacySettings
) -> ClientHandler:
    """The handler behind the client's own floor, if its settings have one."""
    least = settings.min_noise_multiplier
    return NoiseFloor(client, handler, least) if least else handler
