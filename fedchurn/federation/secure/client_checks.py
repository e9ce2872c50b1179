"""What a client does not let a server do."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fedchurn.errors import FederationError
from fedchurn.federation.secure.client_setup import NOTHING, ClientMemory, ClientSetup
from fedchurn.federation.secure.masks import public_key
from fedchurn.federation.secure.messages import names_digest
from fedchurn.settings_secure import SecureSettings

MAX_QUESTIONS = 64  # of one setup
UNKNOWN_SETUP = "this setup is not known here"

_DISTRUST = "do not trust this server"
_ANEW = "begin a new setup"


def known_by(setup: ClientSetup, question: str) -> tuple[str, ...]:
    """What a question is known again by: itself, and the answer, however it is asked for."""
    answer = setup.answers.get(question, NOTHING)
    return tuple(known for known in (setup.asked[question], answer) if known != NOTHING)


class ClientChecks:
    """Refuses messages that could lay a client bare; every method raises ``FederationError``.

    Args:
        client: whose.
        settings: the client's own.
    """

    def __init__(self, client: str, settings: SecureSettings) -> None:
        self._client = client
        self._settings = settings

    def refusal(self, what: str, next_step: str = _ANEW) -> FederationError:
        """An error in this client's name."""
        return FederationError(what, where=f"client {self._client}", next_step=next_step)

    def size(self, num_asked: int, num_questions: int) -> None:
        """A cohort of another size than agreed, or too small a one."""
        expected = self._settings.num_clients
        if expected is not None and num_asked != expected:
            raise self.refusal(
                f"a question to {num_asked} clients is refused: this client was told of {expected}",
                "ask that many clients, or agree on another federation.secure.num_clients",
            )
        if num_asked < self._settings.min_clients:
            raise self.refusal(
                f"a question to {num_asked} clients is refused:"
                f" a sum needs {self._settings.min_clients}",
                "ask more clients",
            )
        if not 1 <= num_questions <= MAX_QUESTIONS:
            raise self.refusal(f"keys for {num_questions} questions, not 1 to {MAX_QUESTIONS}")

    def known(self, setup: ClientSetup | None) -> ClientSetup:
        """A setup of before a restart, or of another client."""
        if setup is None:
            raise self.refusal(UNKNOWN_SETUP)
        return setup

    def publics(self, setup: ClientSetup, publics: Mapping[str, list[bytes]]) -> None:
        """Keys that are not those that were advertised, or of too few or too many clients."""
        own = [public_key(bytes.fromhex(secret)) for secret in (setup.channel, *setup.masks)]
        every = [key for keys in publics.values() for key in keys]
        if publics.get(self._client) != own or len(set(every)) != len(every):
            raise self.refusal(
                "the keys that the server handed on are not those that were advertised", _DISTRUST
            )
        if len(publics) > setup.num_asked:
            raise self.refusal(
                f"keys of {len(publics)} clients, but {setup.num_asked} were to be asked", _DISTRUST
            )
        self._behind_sum(setup, publics)

    def sharers(self, setup: ClientSetup, sharers: Collection[str]) -> None:
        """Strangers, or other clients than before, or too few."""
        if setup.sharers and list(sharers) != setup.sharers:
            raise self.refusal("other clients share keys than before")
        if self._client not in sharers or not set(sharers) <= set(setup.mask_publics):
            raise self.refusal("strangers are said to share keys", _DISTRUST)
        self._behind_sum(setup, sharers)

    def question(self, setup: ClientSetup, question: str, asked: str) -> None:
        """A mask that hid something else before: the difference of both would show."""
        if not 0 <= int(question) < len(setup.masks):
            raise self.refusal(f"mask {question} of this setup was never made")
        if setup.asked.get(question, asked) != asked:
            raise self.refusal(f"mask {question} of this setup hides another answer already")

    def same_words(self, setup: ClientSetup, question: str, words: str) -> None:
        """Another answer to the same question, under the same mask."""
        if setup.answers.get(question, words) != words:
            raise self.refusal("the answer is another one than before")

    def survivors(
        self, setup: ClientSetup, question: str, survivors: tuple[str, ...], memory: ClientMemory
    ) -> None:
        """Survivors who would give two sums whose difference is one client's answer."""
        if question not in setup.asked:
            raise self.refusal(f"question {question} was not asked", "ask it first")
        before = setup.unmasked.get(question)
        if before is not None and tuple(before) != survivors:
            raise self.refusal(
                f"this sum was unmasked for {', '.join(before)}; other survivors would lay bare"
                " who is in one set only",
                _DISTRUST,
            )
        if not set(survivors) <= set(setup.sharers):
            raise self.refusal("strangers are said to survive", _DISTRUST)
        self._behind_sum(setup, survivors)
        before_too = {memory.survivors_of(known) for known in known_by(setup, question)}
        if before_too - {None, names_digest(survivors)}:
            raise self.refusal(
                "the same question was answered by other clients together before: the two sums"
                " could be subtracted",
                "wait for the clients that answered then, or begin a new run",
            )

    def _behind_sum(self, setup: ClientSetup, clients: Collection[str]) -> None:
        if len(clients) < setup.threshold:
            raise self.refusal(
                f"{len(clients)} of {setup.num_asked} clients are left, {setup.threshold} must"
                " be behind a sum",
                "ask again when more clients answer",
            )
