"""What the server receives fits any vector of a single client; what colluding clients add to it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from fedchurn.errors import FederationError
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.secure import client as client_side
from fedchurn.federation.secure import masks
from fedchurn.federation.secure.exchange import SecureExchange
from fedchurn.federation.secure.fixed_point import Layout, from_words, to_words
from fedchurn.federation.secure.messages import (
    LAYOUT,
    STEPS,
    SUM,
    UNMASK,
    WORDS,
    common_digest,
)
from fedchurn.federation.secure.pair_masks import bound_setup, own_purpose, pair_mask
from fedchurn.federation.secure.ring import Words, add_words, negative_words
from fedchurn.federation.secure.shares import joined_secret, split_secret
from tests.unit.federation.secure.vectors import (
    ON,
    QUESTION,
    Holder,
    Tapped,
    holders,
    secured,
    together,
)

MOST_UNEVEN = 400.0  # chi-squared of 255 degrees of freedom passes it once in 10^8 runs


def unevenness(words: Words) -> float:
    """Chi-squared of the bytes against equal shares."""
    counts = np.bincount(np.frombuffer(words.tobytes(), dtype=np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(((counts - expected) ** 2 / expected).sum())


def masked(tapped: Tapped, client: str) -> tuple[Layout, Words]:
    arrays = tapped.received(SUM, client)
    layout = Layout.from_json(np.asarray(arrays[LAYOUT]).tobytes().decode())
    return layout, np.asarray(arrays[WORDS], dtype=np.uint64)


def count_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets that are the same in every run, so that two runs can be compared."""
    number = itertools.count()

    def numbered(num_bytes: int) -> bytes:
        return next(number).to_bytes(num_bytes, "big")

    monkeypatch.setattr(masks.secrets, "token_bytes", numbered)
    monkeypatch.setattr(client_side, "new_secret", lambda: numbered(16))

    def split(secret: bytes, threshold: int, num_shares: int) -> tuple[bytes, ...]:
        return tuple(bytes([place]) + secret[1:] for place in range(num_shares))

    monkeypatch.setattr(client_side, "split_secret", split)


def view(
    monkeypatch: pytest.MonkeyPatch,
    vectors: dict[str, list[float]],
    mask: Callable[..., Words] = pair_mask,
) -> list[tuple[str, str, dict[str, bytes]]]:
    """Every byte that the server receives from clients with these vectors, up to unmasking."""
    with monkeypatch.context() as patched:
        count_up(patched)
        patched.setattr(client_side, "pair_mask", mask)
        patched.setattr("secrets.token_hex", lambda _size: "setup")
        tapped = Tapped(secured({c: Holder(c, vector) for c, vector in vectors.items()}))
        with pytest.raises(FederationError, match="shares of"):  # these shares are not Shamir's
            SecureExchange(tapped, ON).ask(QUESTION)
    return [
        (question.task, reply.client, {n: a.tobytes() for n, a in reply.arrays.items()})
        for question, reply in tapped.replies
    ]


def test_everything_received_fits_any_vector_with_the_same_sum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Had ``a`` held 1000 more and ``b`` 1000 less, not a byte would differ, if only the mask that
    both share were another one; and of that mask the server holds public keys only."""
    first = {"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0], "d": [7.0, 8.0]}
    other = {**first, "a": [1001.0, 2.0], "b": [-997.0, 4.0]}

    def shifted(
        secret: bytes, public: bytes, place: tuple[str, int, str, str], size: int, single: int
    ) -> Words:
        mask = pair_mask(secret, public, place, size, single)
        if set(place[2:]) != {"a", "b"}:
            return mask
        _, shift = to_words(
            {"vector": np.array([1000.0, 0.0]), "counts": np.array([0, 0])}, {"num_rows": 0.0}, 4
        )
        sign = negative_words(shift, single) if place[2] == "a" else shift
        return add_words(mask, sign, single)

    received = view(monkeypatch, first)
    assert {task for task, _, _ in received} == set(STEPS)
    assert received == view(monkeypatch, other, shifted)
    assert view(monkeypatch, first) != view(monkeypatch, other)


def test_a_masked_vector_looks_like_chance() -> None:
    clients = {c: Holder(c, np.zeros(4096).tolist()) for c in "abc"}
    exchange, tapped = together(clients)
    exchange.ask(QUESTION)
    for client in clients:
        assert unevenness(masked(tapped, client)[1]) < MOST_UNEVEN
    assert unevenness(np.zeros(4096, dtype=np.uint64)) > MOST_UNEVEN


def test_without_its_own_mask_a_survivor_is_still_hidden_by_the_others() -> None:
    clients = {c: Holder(c, np.zeros(4096).tolist()) for c in "abc"}
    exchange, tapped = together(clients)
    exchange.ask(QUESTION)
    layout, words = masked(tapped, "a")
    setup = next(q.config["setup"] for q, _ in tapped.replies)
    shares = {
        place + 1: np.asarray(tapped.received(UNMASK, c)["secure.seed_shares"])[0].tobytes()
        for place, c in enumerate("abc")
    }
    seed = joined_secret(shares, ON.threshold(3))
    own = masks.mask_words(masks.own_mask_key(seed, own_purpose(str(setup), 0)), layout.num_words)
    bare = add_words(words, negative_words(own, layout.num_single), layout.num_single)
    assert unevenness(bare) < MOST_UNEVEN


def test_a_vector_that_comes_late_is_still_hidden_by_its_own_mask() -> None:
    """The server was given the absent client's mask secret, and then finds its vector after all."""
    clients = {c: Holder(c, np.zeros(4096).tolist()) for c in "abcd"}
    late: list[Reply] = []
    exchange, tapped = together(clients, lambda task, client: task == SUM and client == "d")
    real = tapped._inner.ask

    def keeping(*args: object) -> tuple[Reply, ...]:
        replies = real(*args)  # type: ignore[arg-type]
        late.extend(r for r in replies if r.client == "d" and WORDS in r.arrays)
        return replies

    tapped._inner.ask = keeping  # type: ignore[method-assign,assignment]
    exchange.ask(QUESTION)
    words = np.asarray(late[0].arrays[WORDS], dtype=np.uint64)
    layout = Layout.from_json(np.asarray(late[0].arrays[LAYOUT]).tobytes().decode())
    question = next(q for q, _ in tapped.replies if q.task == SUM)
    shares = {
        place + 1: np.asarray(tapped.received(UNMASK, c)["secure.mask_shares"])[0].tobytes()
        for place, c in enumerate("abc")
    }
    secret = joined_secret(shares, ON.threshold(4))
    publics = {c: np.asarray(tapped.received("secure_keys", c)["secure.publics"]) for c in "abc"}
    for other in "abc":
        place = (bound_setup(str(question.config["setup"]), common_digest(QUESTION)), 0, "d", other)
        mask = pair_mask(
            secret, publics[other][1].tobytes(), place, layout.num_words, layout.num_single
        )
        words = add_words(words, negative_words(mask, layout.num_single), layout.num_single)
    assert unevenness(words) < MOST_UNEVEN


def test_no_client_gives_both_kinds_of_share_of_anybody() -> None:
    exchange, tapped = together(holders(5), lambda task, client: task == SUM and client == "e")
    exchange.ask(QUESTION)
    for client in "abcd":
        arrays = tapped.received(UNMASK, client)
        assert arrays["secure.seed_shares"].shape == (4, 16)  # of a, b, c, d
        assert arrays["secure.mask_shares"].shape == (1, 16)  # of e


def test_the_server_and_all_clients_but_two_learn_those_two_together_only() -> None:
    """What is left of a sum when colluding clients take their own vectors out of it."""
    clients = holders(5)
    exchange, _ = together(clients)
    (total,) = exchange.ask(QUESTION)
    known = sum(clients[c].vector for c in "cde")
    rest = total.arrays["vector"] - known
    np.testing.assert_allclose(rest, clients["a"].vector + clients["b"].vector, atol=1e-6)


def test_as_many_colluding_clients_as_the_threshold_lay_everybody_bare() -> None:
    """The limit of the protocol: shares of t clients give any secret; of one less, an error."""
    secret = bytes(range(16))
    shares = dict(enumerate(split_secret(secret, 4, 5), start=1))
    assert joined_secret({n: shares[n] for n in (1, 2, 4, 5)}, 4) == secret
    with pytest.raises(FederationError, match="3 shares of a secret, 4 are needed"):
        joined_secret({n: shares[n] for n in (1, 2, 5)}, 4)


def test_nothing_that_leaves_holds_the_vector_in_the_clear() -> None:
    clients = holders(3, size=64)
    exchange, tapped = together(clients)
    exchange.ask(QUESTION)
    _, words = to_words({"vector": clients["a"].vector}, {}, 3)
    plain = words.tobytes()[:64]
    sent = b"".join(a.tobytes() for _, r in tapped.replies for a in r.arrays.values())
    assert plain not in sent
    layout, masked_words = masked(tapped, "a")
    arrays, _ = from_words(layout, masked_words)
    assert not np.allclose(arrays["vector"], clients["a"].vector)


class Quiet(Holder):
    """Answers with zeros where the question says so: such questions there are (no learning)."""

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        if "quiet" not in request.config:
            return reply
        arrays = {name: np.zeros_like(array) for name, array in reply.arrays.items()}
        return Reply(self.client, arrays, {"num_rows": 0.0})


class AskingOneOnly(DirectExchange):
    """A server that asks ``a`` the question, and all others one whose answer it knows: nothing."""

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        if request.task != SUM:
            return super().ask(request, clients, timeout_seconds)
        inner = json.loads(str(request.config["inner"]))
        inner["config"]["quiet"] = True
        config = {**request.config, "inner": json.dumps(inner)}
        quiet = replace(request, config=config)
        return tuple(
            reply
            for client in clients or ()
            for reply in super(AskingOneOnly, self).ask(
                request if client == "a" else quiet, [client], timeout_seconds
            )
        )


def test_asking_the_others_for_nothing_does_not_lay_one_client_bare() -> None:
    """Each client's masks hold what it was asked, so different questions do not cancel."""
    clients = {c: Quiet(c, [1.0, 2.0] * 500) for c in "abcd"}
    (total,) = SecureExchange(AskingOneOnly(secured(clients)), ON).ask(QUESTION)
    found = total.arrays["vector"]
    assert not np.any(np.abs(found - clients["a"].vector) < 1.0)
