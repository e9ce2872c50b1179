"""How much privacy trainings spend: epsilon of a history, and the noise for an epsilon.

A thin layer over Google's ``dp_accounting``. Neighbours differ in one client: all that it sends is
there, or it is not (for ``local`` spendings: it is something else). Rounds without sampling are
composed exactly: T Gaussian mechanisms of noise multiplier z are one of z / sqrt(T), whose epsilon
has a closed form (Balle and Wang 2018). Rounds with Poisson sampling are composed as privacy loss
distributions, rounded up (Doroshenko et al. 2022). Every epsilon is thus an upper bound.
"""

from __future__ import annotations

import functools
import importlib.metadata
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedchurn.errors import PrivacyError
from fedchurn.privacy.spending import Spending

if TYPE_CHECKING:
    import dp_accounting

_LOSS_STEP = 5e-4  # of privacy loss distributions
_COARSE_ABOVE = 20.0  # epsilon from which the step grows, or the arrays would
_SEARCH_STEPS = 12
_TOLERANCE = 1e-3  # noise above the smallest that is enough, as a share of it


def accountant_name() -> str:
    """The accountant and its version, for cards."""
    return f"dp-accounting {importlib.metadata.version('dp-accounting')}"


def epsilon_of(history: Sequence[Spending], delta: float) -> float:
    """Epsilon of all of a history together, at ``delta``; 0 for an empty one.

    Events are composed, which is less than the sum of their epsilons.

    Raises:
        PrivacyError: a spending without noise, or delta is not between 0 and 1.
    """
    if not 0 < delta < 1:
        raise PrivacyError(f"delta is {delta}", next_step="give one between 0 and 1")
    return _epsilon(tuple(sorted(history, key=repr)), delta)


@functools.lru_cache(maxsize=4096)
def _epsilon(history: tuple[Spending, ...], delta: float) -> float:
    import dp_accounting  # scipy with it: more than a second

    spent = [s for s in history if s.num_rounds > 0 and s.sampling_rate > 0]
    for one in spent:
        _check(one)
    whole = [s for s in spent if s.sampling_rate >= 1]
    sampled = [s for s in spent if s.sampling_rate < 1]
    if not spent:
        return 0.0
    bound = float(dp_accounting.get_epsilon_gaussian(_together(spent), delta))
    if not sampled:
        return bound
    accountant = dp_accounting.pld.PLDAccountant(
        value_discretization_interval=_LOSS_STEP * max(1.0, bound / _COARSE_ABOVE)
    )
    if whole:
        accountant.compose(dp_accounting.GaussianDpEvent(_together(whole)))
    for one in sampled:
        accountant.compose(_sampled_event(one), one.num_rounds)
    # Not to sample is worse than to sample, so the closed form bounds what rounding adds.
    return min(bound, float(accountant.get_epsilon(delta)))


def _together(spendings: Sequence[Spending]) -> float:
    """Noise multiplier of the one Gaussian mechanism that is worth all of these, unsampled."""
    return 1.0 / math.sqrt(sum(s.num_rounds / s.noise_multiplier**2 for s in spendings))


def _sampled_event(spending: Spending) -> dp_accounting.DpEvent:
    import dp_accounting

    gaussian = dp_accounting.GaussianDpEvent(spending.noise_multiplier)
    return dp_accounting.PoissonSampledDpEvent(spending.sampling_rate, gaussian)


def _check(spending: Spending) -> None:
    if not spending.noise_multiplier > 0:
        raise PrivacyError(
            f"a {spending.mechanism} training with noise multiplier {spending.noise_multiplier}",
            next_step="without noise no epsilon holds; switch privacy off instead",
        )


def noise_multiplier_for(
    epsilon: float, delta: float, num_rounds: int, sampling_rate: float = 1.0
) -> float:
    """The smallest noise multiplier with which a training spends at most ``epsilon``.

    Args:
        epsilon: target, above 0.
        delta: target, 0-1.
        num_rounds: rounds of the training, at least 1.
        sampling_rate: see ``Spending``.

    Raises:
        PrivacyError: an argument is out of range.
    """
    if not (epsilon > 0 and 0 < delta < 1 and num_rounds > 0 and 0 < sampling_rate <= 1):
        raise PrivacyError(
            f"no noise for epsilon {epsilon}, delta {delta}, {num_rounds} rounds and sampling"
            f" rate {sampling_rate}",
            next_step="epsilon above 0, delta and sampling rate between 0 and 1, a round or more",
        )
    return _noise_multiplier(epsilon, delta, num_rounds, sampling_rate)


@functools.lru_cache(maxsize=256)
def _noise_multiplier(epsilon: float, delta: float, num_rounds: int, rate: float) -> float:
    import dp_accounting
    from scipy.optimize import brentq

    whole = float(dp_accounting.get_sigma_gaussian(epsilon, delta)) * math.sqrt(num_rounds)
    if rate >= 1:
        return whole

    def spent(noise_multiplier: float) -> float:
        return epsilon_of((Spending("central", num_rounds, noise_multiplier, rate),), delta)

    enough, low = whole, whole
    for _ in range(_SEARCH_STEPS):
        low /= 2
        if spent(low) > epsilon:
            break
        enough = low
    else:
        return enough
    found = brentq(lambda noise: spent(noise) - epsilon, low, enough, rtol=_TOLERANCE / 4)
    return min(float(found) * (1 + _TOLERANCE), enough)
