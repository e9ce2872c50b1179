"""Private trainings in the loop: terms from the ledger, a booking before, and the card after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedchurn.federation.exchange import Exchange, Reply, Request
from fedchurn.federation.privacy.terms import PrivateTerms, agree_terms, private_phase
from fedchurn.federation.training.checkpoint import Checkpoints, Progress
from fedchurn.federation.training.state import RoundRecord
from fedchurn.loop.provenance import now
from fedchurn.privacy.account import client_accounts, over_budget
from fedchurn.privacy.accountant import accountant_name
from fedchurn.privacy.ledger import RESERVE, SETTLE, Ledger, LedgerEntry, ledger_path
from fedchurn.privacy.spending import CENTRAL
from fedchurn.settings import Settings

ASSUMPTIONS = {
    CENTRAL: (
        "The server, its MLflow and its disk are trusted: they see updates (their sum under secure"
        " aggregation) and the noise key. Protected is who gets the release.",
        "Clients run this code: they clip, and under secure aggregation nobody can check it.",
    ),
    "local": (
        "Clients run this code, with noise from their own operating system.",
        "The server need not be trusted with updates.",
    ),
}
OUTSIDE = (
    "Outside the promise are figures (metrics of card, report and MLflow), which come from exact"
    " score sums of clients, who took part, and how many rows each has.",
    "Noise is of floating point: attacks on its last bits are not ruled out.",
)


@dataclass(frozen=True)
class Booking:
    """A private training between its reservation and its settlement.

    Attributes:
        terms: of the training.
        ledger: where it is booked.
        entry: its booking.
    """

    terms: PrivateTerms
    ledger: Ledger
    entry: LedgerEntry

    def settle(self, records: Sequence[RoundRecord]) -> None:
        """Book what the rounds did spend: one not asked, or absent, spent nothing in it.

        Where clients add the noise, an answer that came too late has left its client all the same;
        where they are drawn by chance, a round spends of everybody. Rounds of an earlier booking,
        before a kill, are in that one.
        """
        if self.entry.action == SETTLE:
            return
        paid_before = self.terms.num_rounds - max(self.entry.num_rounds.values())
        played = [record for record in records if record.round_num > paid_before]
        named = self.terms.settings.mode == CENTRAL and self.terms.sampling_rate >= 1
        spent = {
            client: sum(client in r.participants for r in played) if named else len(played)
            for client in self.terms.clients
        }
        self.ledger.settle(self.entry, spent, now())

    def told_in(self, records: Sequence[RoundRecord]) -> tuple[RoundRecord, ...]:
        """The records with every client that was left out among the absences of every round."""
        left_out = self.terms.left_out
        return tuple(replace(r, absences={**left_out, **r.absences}) for r in records)

    def to_card(self) -> dict[str, Any]:
        """What the card says of it."""
        terms, settings = self.terms, self.terms.settings
        accounts = client_accounts(
            self.ledger.bookings(), settings.delta, settings.client_budget_epsilon
        )
        return {
            "mode": settings.mode,
            "mechanism": "clipped updates and Gaussian noise",
            "protects": "all that one client sends for training",
            "epsilon": terms.epsilon_after(terms.num_rounds),
            "delta": settings.delta,
            "noise_multiplier": terms.noise_multiplier,
            "clip_norm": settings.clip_norm,
            "adaptive_clipping": settings.adaptive_clipping,
            "num_rounds": terms.num_rounds,
            "sampling": _sampling(terms),
            "sampling_rate": terms.sampling_rate,
            "accountant": accountant_name(),
            "clients": list(terms.clients),
            "left_out": dict(terms.left_out),
            "lifetime_epsilon": {a.client: a.epsilon for a in accounts},
            "client_budget_epsilon": settings.client_budget_epsilon,
            "assumptions": [*ASSUMPTIONS[settings.mode], *OUTSIDE],
        }


def _sampling(terms: PrivateTerms) -> str:
    if terms.sampling_rate >= 1:
        return "all clients in every round; no amplification is counted"
    return "Poisson, by a secret key; who was drawn is not published"


def book(
    settings: Settings,
    contract_name: str,
    clients: Sequence[str],
    training: str,
    checkpoints: Checkpoints,
) -> Booking | None:
    """Terms agreed and the spending reserved; None without privacy.

    Args:
        settings: of the run, its recipe among them.
        contract_name: whose ledger it is.
        clients: all clients.
        training: key of the training; one that goes on keeps its key.
        checkpoints: of the training: how far an earlier run of it got.

    Raises:
        PrivacyError: no such training is possible, or it cannot be booked.
    """
    if settings.privacy.mode == "off":
        return None
    ledger = Ledger(ledger_path(settings.home, contract_name))
    played = _num_played(checkpoints.newest())
    total = private_phase(settings.privacy, settings.training).num_rounds
    with ledger.lock():
        own = [b for b in ledger.bookings() if b.training == training]
        if own and _stands(own[-1], is_over=played >= total):
            return Booking(_terms_of(own[-1], settings, clients, ledger, total), ledger, own[-1])
        if own and own[-1].action == RESERVE and played:
            _settle_killed(ledger, own[-1], played, total)
        terms = agree_terms(
            settings.privacy,
            settings.training,
            clients,
            ledger.history(),
            settings.federation.quorum_fraction,
            total - played,
        )
        return Booking(terms, ledger, ledger.reserve(_entry(terms, training, total - played)))


def _num_played(progress: Progress | None) -> int:
    """Rounds whose updates have left their clients and are in the model."""
    return progress.state.round_num if progress and progress.state else 0


def _stands(booking: LedgerEntry, *, is_over: bool) -> bool:
    """Whether a training that goes on is paid for by this booking.

    One that was killed after its last round asks for no more updates. What the server alone saw of
    a central run that was killed was published by nobody, and the noise of rounds that are played
    again is the same. What clients sent with noise of their own was seen, and they would draw other
    noise.
    """
    return is_over or (booking.action != SETTLE and booking.mechanism == CENTRAL)


def _settle_killed(ledger: Ledger, booking: LedgerEntry, played: int, total: int) -> None:
    """Book the rounds of a local training that was killed, and two in which it may have been.

    The newest checkpoint may be spoilt, and a round may have been under way.
    """
    reserved = max(booking.num_rounds.values())
    begun_at = total - reserved
    spent = min(reserved, max(played - begun_at, 0) + 2)
    ledger.settle(booking, dict.fromkeys(booking.num_rounds, spent), now())


def _entry(terms: PrivateTerms, training: str, num_rounds: int) -> LedgerEntry:
    return LedgerEntry(
        action=RESERVE,
        number=0,
        training=training,
        time=now(),
        mechanism=terms.settings.mode,
        noise_multiplier=terms.noise_multiplier,
        sampling_rate=terms.sampling_rate,
        epsilon=terms.settings.epsilon,
        delta=terms.settings.delta,
        num_rounds=dict.fromkeys(terms.clients, num_rounds),
    )


def _terms_of(
    booking: LedgerEntry,
    settings: Settings,
    clients: Sequence[str],
    ledger: Ledger,
    num_rounds: int,
) -> PrivateTerms:
    """The terms that a training of so many rounds had when it was booked."""
    takers = tuple(sorted(booking.num_rounds))
    others = sorted(set(clients) - set(takers))
    first = next(e for e in ledger.entries() if e.number == booking.number)
    spending = first.spending(takers[0])
    privacy = settings.privacy
    left_out = over_budget(
        ledger.history(), others, spending, privacy.delta, privacy.client_budget_epsilon
    )
    return PrivateTerms(
        privacy,
        takers,
        num_rounds,
        booking.sampling_rate,
        booking.noise_multiplier,
        {client: left_out.get(client, "privacy: left out when booked") for client in others},
    )


class OnlyClients:
    """An exchange that reaches some clients and asks no others.

    Args:
        exchange: reaches all clients.
        clients: whom it may ask.
    """

    def __init__(self, exchange: Exchange, clients: Sequence[str]) -> None:
        self._exchange = exchange
        self._clients = tuple(sorted(clients))

    def clients(self) -> tuple[str, ...]:
        """Names of those that may be asked, sorted."""
        return self._clients

    @property
    def last_cost(self) -> object:
        """What the last question cost, where the exchange counts its messages; see ``cost_of``."""
        return getattr(self._exchange, "last_cost", None)

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        """One reply per asked client; see ``Exchange``."""
        asked = self._clients if clients is None else clients
        allowed = [client for client in asked if client in set(self._clients)]
        return self._exchange.ask(request, allowed, timeout_seconds) if allowed else ()
