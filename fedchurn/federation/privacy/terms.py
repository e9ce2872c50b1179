"""The terms of one private training: who takes part, how much noise, what it spends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fedchurn.errors import PrivacyError
from fedchurn.federation.aggregation.strategies import STRATEGIES
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.learning.recipe import LocalPhase, Recipe
from fedchurn.privacy.account import over_budget
from fedchurn.privacy.accountant import epsilon_of, noise_multiplier_for
from fedchurn.privacy.policy import PrivacySettings
from fedchurn.privacy.spending import LOCAL, Spending

# Rules that weigh or compare single updates have another sensitivity than the sum.
PRIVATE_STRATEGIES = ("fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi")
_MAX_SHOWN = 3  # clients in an error; `fedchurn privacy` shows all
_RECIPE_STEP = "take --recipe private, or a recipe of local epochs combined by fedavg"


@dataclass(frozen=True)
class PrivateTerms:
    """See the module docstring.

    Attributes:
        settings: what is promised.
        clients: who takes part, sorted.
        left_out: who does not, and why.
        num_rounds: of the training.
        sampling_rate: see ``Spending``.
        noise_multiplier: see ``Spending``.
    """

    settings: PrivacySettings
    clients: tuple[str, ...]
    num_rounds: int
    sampling_rate: float
    noise_multiplier: float
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether clients add the noise."""
        return self.settings.mode == LOCAL

    @property
    def expected_clients(self) -> float:
        """Expected number of clients in a round, which the noisy sum is divided by."""
        return self.sampling_rate * len(self.clients)

    def spending(self, num_rounds: int | None = None) -> Spending:
        """What the training, or its first rounds, spend of each client."""
        rounds = self.num_rounds if num_rounds is None else num_rounds
        return Spending(self.settings.mode, rounds, self.noise_multiplier, self.sampling_rate)

    def epsilon_after(self, num_rounds: int) -> float:
        """Epsilon of the first rounds, at the delta of the settings."""
        return epsilon_of((self.spending(num_rounds),), self.settings.delta)


def agree_terms(
    settings: PrivacySettings,
    recipe: Recipe,
    clients: Sequence[str],
    histories: Mapping[str, Sequence[Spending]],
    quorum_fraction: float,
    num_rounds_left: int | None = None,
) -> PrivateTerms:
    """Terms under which a recipe can be trained privately.

    Clients whose budget for life the training would exceed are left out; with fewer clients the
    chance to be drawn may grow, and with it the noise.

    Args:
        settings: what is promised; the mode is not ``off``.
        recipe: to be trained.
        clients: all clients.
        histories: what was spent of them before, by client.
        quorum_fraction: share of all clients (0-1) without whom nothing is trained.
        num_rounds_left: rounds that are still to be paid for; all by default.

    Raises:
        PrivacyError: the recipe has no private form, or too few clients have budget left.
    """
    phase = private_phase(settings, recipe)
    left_out: dict[str, str] = {}
    while True:
        takers = tuple(sorted(set(clients) - left_out.keys()))
        needed = max(1, math.ceil(quorum_fraction * len(clients)))
        if len(takers) < needed:
            raise _too_few(takers, clients, needed, left_out)
        rate = _sampling_rate(settings, phase, len(takers))
        noise = noise_multiplier_for(settings.epsilon, settings.delta, phase.num_rounds, rate)
        terms = PrivateTerms(settings, takers, phase.num_rounds, rate, noise, dict(left_out))
        over = over_budget(
            histories,
            takers,
            terms.spending(num_rounds_left),
            settings.delta,
            settings.client_budget_epsilon,
        )
        if not over:
            return terms
        left_out.update(over)


def private_phase(settings: PrivacySettings, recipe: Recipe) -> LocalPhase:
    """The only phase of a recipe that can be trained privately.

    Raises:
        PrivacyError: the recipe has no private form; says why.
    """
    if len(recipe.phases) != 1:
        raise _no_form(recipe, f"it has {len(recipe.phases)} phases, and one is supported")
    phase = recipe.phases[0]
    if not isinstance(phase, LocalPhase):
        raise _no_form(
            recipe,
            "Newton rounds send gradients and Hessians, whose size for one client has no bound that"
            " leaves them useful",
        )
    if phase.strategy not in PRIVATE_STRATEGIES or STRATEGIES[phase.strategy].robust:
        known = ", ".join(PRIVATE_STRATEGIES)
        raise _no_form(recipe, f"{phase.strategy} has no known sensitivity (accepted: {known})")
    if phase.compression == "top_k":
        raise _no_form(recipe, "which numbers top_k sends would tell about the client's rows")
    if settings.mode == LOCAL and settings.adaptive_clipping:
        raise _no_form(recipe, "a client alone cannot tell how long others' updates are", "privacy")
    return phase


def private_recipe(settings: PrivacySettings, recipe: Recipe) -> Recipe:
    """The recipe with everything left out that would choose by clients' rows.

    The last round's model is kept, all rounds are played, and ``local`` clients are asked for score
    sums of the first and the last round only.
    """
    phase = private_phase(settings, recipe)
    changes: dict[str, object] = {"keep": "last", "patience_rounds": None, "clip_norm": None}
    if settings.mode == LOCAL:
        changes["evaluate_every"] = phase.num_rounds
    return recipe.model_copy(update={"phases": (phase.model_copy(update=changes),)})


def private_policy(policy: RoundPolicy) -> RoundPolicy:
    """The policy without all that refuses a client for what others sent.

    One client's rows would decide about another's, and move the sum by more than the clip norm.
    """
    return replace(policy, max_norm_ratio=math.inf, max_rows_ratio=math.inf, audit="off")


def _sampling_rate(settings: PrivacySettings, phase: LocalPhase, num_clients: int) -> float:
    """Who was drawn is known to a server that sees each update, so ``local`` gains nothing."""
    drawn = phase.clients_per_round
    if settings.mode == LOCAL or drawn is None:
        return 1.0
    return min(1.0, drawn / num_clients)


def _no_form(recipe: Recipe, why: str, where: str = "") -> PrivacyError:
    return PrivacyError(
        f"recipe {recipe.name} cannot be trained privately: {why}",
        where=where or "privacy.mode",
        next_step=_RECIPE_STEP if not where else "switch privacy.adaptive_clipping off",
    )


def _too_few(
    takers: Sequence[str], clients: Sequence[str], needed: int, left_out: Mapping[str, str]
) -> PrivacyError:
    shown = sorted(left_out.items())[:_MAX_SHOWN]
    told = "; ".join(f"{client}: {why}" for client, why in shown)
    more = f"; and {len(left_out) - len(shown)} more" if len(left_out) > len(shown) else ""
    return PrivacyError(
        f"{len(takers)} of {len(clients)} clients have enough privacy budget left, {needed} are"
        f" needed ({told}{more})",
        where="privacy.client_budget_epsilon",
        next_step="lower privacy.epsilon, raise the budget with the clients' consent, or lower"
        " federation.quorum_fraction; `fedchurn privacy` shows the ledger",
    )
