"""What a client keeps between the steps of the protocol: its secrets, and what it has given away.

Flower may run each message in a new process, so the state is text that any store can hold; it never
leaves the client.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field

_KEY = "setup:"
_MOST_SETUPS = 4
_ANSWERED = "answered"
_MOST_ANSWERED = 512  # two per question
NOTHING = "nothing"  # instead of a digest: an answer of zeros alone, in which no row is seen

Store = MutableMapping[str, str]


@dataclass
class ClientSetup:
    """One client's secrets for a batch of questions; bytes are hexadecimal.

    Attributes:
        num_asked: clients that are asked.
        threshold: fewest clients behind a sum.
        channel: secret of the key that shares are sealed with.
        masks: per question, the secret of the pairwise masks.
        seeds: per question, the seed of the own mask.
        channel_publics: by client, of all that advertised keys.
        mask_publics: by client, one per question.
        sealed: its shares for the others, sorted by name.
        sharers: clients whose shares arrived; fixed by the first question.
        shares: by client, per question its shares of the seed and of the mask secret.
        asked: questions answered so far: the digest of what was asked.
        answers: by question, the digest of its own answer, or ``NOTHING``.
        unmasked: by question, the survivors whose sum was unmasked.
    """

    num_asked: int
    threshold: int
    channel: str
    masks: list[str]
    seeds: list[str]
    channel_publics: dict[str, str] = field(default_factory=dict)
    mask_publics: dict[str, list[str]] = field(default_factory=dict)
    sealed: list[str] = field(default_factory=list)
    sharers: list[str] = field(default_factory=list)
    shares: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    unmasked: dict[str, list[str]] = field(default_factory=dict)


class ClientMemory:
    """Setups and answered questions in a store of texts; old ones are forgotten.

    Args:
        store: a dict, or a view of what Flower keeps for a node.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def setup(self, setup_id: str) -> ClientSetup | None:
        """The setup, if it is still known."""
        stored = self._store.get(_KEY + setup_id)
        return None if stored is None else ClientSetup(**json.loads(stored))

    def keep(self, setup_id: str, setup: ClientSetup) -> None:
        """Remember a setup; the oldest ones are forgotten, and their secrets with them."""
        self._store.pop(_KEY + setup_id, None)
        self._store[_KEY + setup_id] = json.dumps(asdict(setup))
        known = [key for key in self._store if key.startswith(_KEY)]
        for key in known[:-_MOST_SETUPS]:
            del self._store[key]

    def survivors_of(self, question: str) -> str | None:
        """The digest of whose sum answered a question, or held an answer, before."""
        found = self._answers().get(question)
        return None if found is None else str(found)

    def keep_answer(self, question: str, survivors: str) -> None:
        """Remember whose sum answers a question, or holds an answer."""
        answers = {**self._answers(), question: survivors}
        kept = dict(list(answers.items())[-_MOST_ANSWERED:])
        self._store[_ANSWERED] = json.dumps(kept)

    def _answers(self) -> dict[str, str]:
        return dict(json.loads(self._store.get(_ANSWERED, "{}")))
