"""Is the challenger better than the champion on the same held-out rows, beyond noise?

Federated: every client compares both models on its own rows (``delong.paired_auc``), and the server
averages the AUCs with weights positives * negatives (pairs inside clients; no pair crosses a
border). Clients share no customer, so variances add.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedchurn.errors import FederationError
from fedchurn.registry.delong import paired_auc

FloatArray = NDArray[np.float64]
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ClientComparison:
    """What one client tells about challenger and champion: seven numbers, no rows.

    Attributes:
        client: the client's name.
        num_positive: churned rows.
        num_negative: other rows.
        num_customers: customer groups behind the rows.
        auc_challenger: NaN when a class is absent.
        auc_champion: NaN when a class is absent.
        variance_challenger: of ``auc_challenger``; NaN with fewer than two customers in a class.
        variance_champion: of ``auc_champion``.
        covariance: of both AUCs.
    """

    client: str
    num_positive: int
    num_negative: int
    num_customers: int
    auc_challenger: float
    auc_champion: float
    variance_challenger: float
    variance_champion: float
    covariance: float

    @property
    def difference(self) -> float:
        """AUC that the challenger gains on this client; NaN when a class is absent."""
        return self.auc_challenger - self.auc_champion

    @property
    def is_measured(self) -> bool:
        return math.isfinite(self.difference) and math.isfinite(self.variance_of_difference)

    @property
    def variance_of_difference(self) -> float:
        variance = self.variance_challenger + self.variance_champion - 2 * self.covariance
        return max(variance, 0.0) if math.isfinite(variance) else math.nan

    def to_numbers(self) -> dict[str, float]:
        """The numbers of a federation reply; ``from_numbers`` reads them."""
        return {n: float(getattr(self, n)) for n in _NUMBERS}

    @classmethod
    def from_numbers(cls, client: str, numbers: Mapping[str, float]) -> ClientComparison:
        """The comparison behind ``to_numbers``."""
        values: dict[str, Any] = {n: float(numbers[n]) for n in _NUMBERS}
        return cls(client=client, **(values | {n: int(values[n]) for n in _COUNTS}))

    def to_sums(self) -> dict[str, float]:
        """Sums that add up over clients; zeros of a client that cannot be measured.

        Each AUC is weighted by the client's pairs of a churned and another row, each variance by
        their square, as ``combine_comparisons`` weights them.
        """
        pairs = float(self.num_positive * self.num_negative) if self.is_measured else 0.0
        told = {n: float(getattr(self, n)) if pairs else 0.0 for n in _NUMBERS}
        return {
            "pairs": pairs,
            **{n: told[n] for n in _COUNTS},
            **{n: pairs * told[n] for n in _AREAS},
            **{n: pairs**2 * told[n] for n in _SPREADS},
        }

    @classmethod
    def from_sums(cls, client: str, sums: Mapping[str, float]) -> ClientComparison:
        """All clients as one, from the sum of what ``to_sums`` gives."""
        pairs = sums["pairs"] or math.nan
        values: dict[str, Any] = {n: round(sums[n]) for n in _COUNTS}
        values |= {n: sums[n] / pairs for n in _AREAS}
        values |= {n: sums[n] / pairs**2 for n in _SPREADS}
        return cls(client=client, **values)


_COUNTS = ("num_positive", "num_negative", "num_customers")
_AREAS = ("auc_challenger", "auc_champion")
_SPREADS = ("variance_challenger", "variance_champion", "covariance")
_NUMBERS = (*_COUNTS, *_AREAS, *_SPREADS)


@dataclass(frozen=True)
class PairedComparison:
    """Challenger minus champion over all clients.

    Attributes:
        auc_challenger: mean AUC inside clients, weighted by positives * negatives.
        auc_champion: the same of the champion.
        difference: ``auc_challenger - auc_champion``.
        standard_error: of the difference.
        z: difference / standard_error; 0 when there is no difference.
        p_better: probability of a difference this large or larger if the challenger were no better.
        p_worse: probability of a difference this small or smaller if it were no worse.
        client_differences: AUC that each client gains; None where a client cannot tell.
        num_customers: customer groups behind the comparison.
    """

    auc_challenger: float
    auc_champion: float
    difference: float
    standard_error: float
    z: float
    p_better: float
    p_worse: float
    client_differences: Mapping[str, float | None]
    num_customers: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; an infinite z is None."""
        return {
            **self.__dict__,
            "client_differences": dict(self.client_differences),
            "z": self.z if math.isfinite(self.z) else None,
        }


def client_comparison(
    target: ArrayLike,
    score_challenger: ArrayLike,
    score_champion: ArrayLike,
    customer_groups: ArrayLike,
    *,
    client: str = "",
) -> ClientComparison:
    """Compare two models on one client's held-out rows; runs beside the rows.

    Args:
        target: (n,) 1 = churn.
        score_challenger: (n,) any monotone score, for example probabilities.
        score_champion: (n,) the same rows scored by the champion.
        customer_groups: (n,) rows that are copies of one customer share a number.
        client: the client's name.
    """
    churned = np.asarray(target) == 1
    num_positive, num_negative = int(churned.sum()), int((~churned).sum())
    _, groups = np.unique(np.asarray(customer_groups), return_inverse=True)
    num_customers = int(groups.max()) + 1 if len(groups) else 0
    scores = np.stack([_finite(score_challenger), _finite(score_champion)])
    auc, covariance = paired_auc(churned, scores, groups)
    return ClientComparison(
        client,
        num_positive,
        num_negative,
        num_customers,
        float(auc[0]),
        float(auc[1]),
        float(covariance[0, 0]),
        float(covariance[1, 1]),
        float(covariance[0, 1]),
    )


def combine_comparisons(comparisons: Sequence[ClientComparison]) -> PairedComparison:
    """Pool the clients' comparisons as a stratified AUC.

    Clients that hold one class only, or fewer than two customers of a class, cannot be measured:
    they carry no weight and a difference of None.

    Raises:
        FederationError: no client can be measured.
    """
    measured = [c for c in comparisons if c.is_measured]
    if not measured:
        raise FederationError(
            f"none of {len(comparisons)} clients holds two churned and two other customers, so "
            "challenger and champion cannot be compared",
            next_step="give the clients more test rows (test_fraction) or fewer, larger clients",
        )
    pairs = np.array([c.num_positive * c.num_negative for c in measured], dtype=np.float64)
    share = pairs / pairs.sum()
    challenger = float(share @ np.array([c.auc_challenger for c in measured]))
    champion = float(share @ np.array([c.auc_champion for c in measured]))
    variance = float(share**2 @ np.array([c.variance_of_difference for c in measured]))
    difference, error, z = _z(challenger - champion, variance)
    return PairedComparison(
        auc_challenger=challenger,
        auc_champion=champion,
        difference=difference,
        standard_error=error,
        z=z,
        p_better=_upper_tail(z),
        p_worse=_upper_tail(-z),
        client_differences={c.client: _gain(c) for c in comparisons},
        num_customers=sum(c.num_customers for c in measured),
    )


def _gain(comparison: ClientComparison) -> float | None:
    return comparison.difference if comparison.is_measured else None


def _z(difference: float, variance: float) -> tuple[float, float, float]:
    """Difference, standard error and z, with rounding noise taken for what it is."""
    if abs(difference) < _ROUNDING:
        return 0.0, math.sqrt(variance), 0.0
    error = math.sqrt(variance)
    return (
        difference,
        error,
        difference / error if error > _ROUNDING else math.copysign(math.inf, difference),
    )


def _upper_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def _finite(score: ArrayLike) -> FloatArray:
    values = np.asarray(score, dtype=np.float64)
    if not np.isfinite(values).all():
        raise FederationError("a score is not finite, so models cannot be compared")
    return values
