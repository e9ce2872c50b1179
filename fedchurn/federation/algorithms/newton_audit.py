"""What the sums of a Newton round must be, if they are sums over any rows at all.

Two kinds of checks, which cost no message. Exact ones hold for every honest client whatever its
rows are: they follow from the log loss being what it is. And a vote in the round at zero weights,
where gradient and Hessian tell exactly how a client's labels go with its inputs: a client whose
labels the models of most others rank in reverse has them turned round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LOG_2 = float(np.log(2.0))
MIN_VOTERS = 2  # others that must have a say, lest one client accuses the other
REVERSED = -3.0  # standard errors below zero
_ROUNDING = 1e-6  # per row, for sums in float64
_PIVOT = 1e-7  # of the mean eigenvalue


@dataclass(frozen=True)
class Sums:
    """One client's sums at K candidate weights.

    Attributes:
        num_rows: rows summed over.
        loss: (K,).
        gradient: (K, d + 1), the bias last.
        hessian: (K, d + 1, d + 1).
    """

    num_rows: float
    loss: FloatArray
    gradient: FloatArray
    hessian: FloatArray


def contradiction(weights: FloatArray, sums: Sums, num_positive: float | None = None) -> str:
    """Why these cannot be sums over rows; empty if they can.

    Args:
        weights: (K, d + 1), where the sums were taken.
        sums: a client's.
        num_positive: churners among its rows, where they were told before.
    """
    for k, here in enumerate(weights):
        one = _Point(here, sums.num_rows, sums.loss[k], sums.gradient[k], sums.hessian[k])
        why = one.hessian_problem() or one.loss_problem()
        why = why or (one.labels_problem(num_positive) if num_positive is not None else "")
        if why:
            return why
    return _not_convex(weights, sums)


@dataclass(frozen=True)
class _Point:
    """Sums at one candidate's weights."""

    weights: FloatArray
    num_rows: float
    loss: np.float64
    gradient: FloatArray
    hessian: FloatArray

    @property
    def curvature(self) -> float:
        """sum p (1 - p), the Hessian's last entry: the bias has input 1."""
        return float(self.hessian[-1, -1])

    def hessian_problem(self) -> str:
        """A Hessian is x' diag(p (1 - p)) x: symmetric, no negative eigenvalue, p (1 - p) <= 1/4.

        At zero weights residuals are a half each, so g_j^2 <= n h_jj by Cauchy and Schwarz.
        """
        size, scale = len(self.hessian), float(np.abs(self.hessian).max())
        if not np.allclose(self.hessian, self.hessian.T, rtol=0, atol=_ROUNDING * (1 + scale)):
            return "newton.hessian is not symmetric"
        pivot = _PIVOT * (float(np.trace(self.hessian)) / size + 1)
        try:
            np.linalg.cholesky(self.hessian + pivot * np.eye(size))
        except np.linalg.LinAlgError:
            return "newton.hessian has a negative eigenvalue"
        most = self.num_rows / 4
        if not self.curvature <= most + self._slack:
            return f"newton.hessian ends with {self.curvature:.4g}, at most {most:.4g} is possible"
        return ""

    def loss_problem(self) -> str:
        """loss - w'g is the entropy of the predictions, which sum p (1 - p) bounds on both sides.

        See Topsoe 2001, "Bounds for entropy and divergence over a two-element set".
        """
        entropy = float(self.loss - self.weights @ self.gradient)
        spread = 4 * max(self.curvature, 0.0) / self.num_rows
        lowest = LOG_2 * self.num_rows * spread
        highest = LOG_2 * self.num_rows * min(spread, 1.0) ** (1 / np.log(4))
        slack = self._slack * (1 + float(np.abs(self.weights) @ np.abs(self.gradient)))
        if not lowest - slack <= entropy <= highest + slack:
            return (
                f"newton.loss {float(self.loss):.4g} does not go with gradient and Hessian"
                f" of {self.num_rows:g} rows"
            )
        if not self.weights.any():
            return self._problem_at_zero()
        return "" if self.loss >= -self._slack else f"newton.loss is {float(self.loss):.4g}"

    def _problem_at_zero(self) -> str:
        expected = self.num_rows * LOG_2
        if not np.isclose(self.loss, expected, rtol=_ROUNDING):
            return f"newton.loss at zero weights is {float(self.loss):.6g}, not {expected:.6g}"
        most = np.sqrt(self.num_rows * np.maximum(np.diag(self.hessian), 0.0))
        place = int(np.argmax(np.abs(self.gradient) - most))
        if np.abs(self.gradient[place]) > most[place] + self._slack:
            return (
                f"newton.gradient holds {self.gradient[place]:.4g} at {place},"
                f" at most {most[place]:.4g} is possible"
            )
        return ""

    def labels_problem(self, num_positive: float) -> str:
        """The gradient's last entry is sum p - y; p is then known on average (Jensen)."""
        mean = (float(self.gradient[-1]) + num_positive) / self.num_rows
        most = self.num_rows * mean * (1 - mean)
        if -_ROUNDING <= mean <= 1 + _ROUNDING and self.curvature <= most + self._slack:
            return ""
        return (
            f"newton.gradient ends with {float(self.gradient[-1]):.4g},"
            f" which {num_positive:g} of {self.num_rows:g} rows with churn cannot give"
        )

    @property
    def _slack(self) -> float:
        return _ROUNDING * (self.num_rows + 1)


def _not_convex(weights: FloatArray, sums: Sums) -> str:
    """A convex loss lies above its tangents: L(a) >= L(b) + g(b)'(a - b) for all candidates."""
    slopes = np.einsum("bj,bj->b", sums.gradient, weights)
    rises = (sums.gradient @ weights.T).T - slopes  # [a, b] = g(b)'(a - b)
    above = sums.loss[:, None] - sums.loss - rises
    slack = _ROUNDING * (sums.num_rows + 1 + np.abs(rises))
    if (above < -slack).any():
        return "newton.gradient and newton.loss contradict each other between candidates"
    return ""


def reversed_clients(
    sums: Mapping[str, Sums], ridge: float, candidate: int = 0
) -> Mapping[str, str]:
    """Clients whose labels most others' models rank in reverse, with the figures.

    Sums at zero weights only. There, the direction of another client's model (its Newton step)
    and this client's sums give the correlation of that model's score with this client's labels,
    its own base rate taken out: clients may differ in churn rate, size and customers, as long as
    what speaks for churn at most others does not speak against it here. Named is who is ranked in
    reverse by more than half of the others, one voice each, and by all others together by more
    than three standard errors. The clearest is named first and has no voice any more.

    Args:
        sums: per client.
        ridge: of the others' models.
        candidate: which of the K to look at.
    """
    names = sorted(sums)
    gradients = np.stack([sums[name].gradient[candidate] for name in names])
    hessians = np.stack([sums[name].hessian[candidate] for name in names])
    own = _directions(gradients, hessians, ridge)
    scores = np.array([_scores(own, gradients[c], hessians[c]) for c in range(len(names))])
    left = list(range(len(names)))
    found: dict[str, str] = {}
    while len(left) > MIN_VOTERS:
        worst, score = _most_reversed(left, gradients, hessians, ridge, scores)
        if worst is None:
            break
        left.remove(worst)
        against = int((scores[worst][left] < 0).sum())
        found[names[worst]] = (
            f"labels turned round: models of {against} of {len(left)} other clients rank its rows"
            f" in reverse, all of them together by {-score:.1f} standard errors"
        )
    return found


def _most_reversed(
    left: Sequence[int],
    gradients: FloatArray,
    hessians: FloatArray,
    ridge: float,
    scores: FloatArray,
) -> tuple[int | None, float]:
    total_gradient, total_hessian = gradients[list(left)].sum(axis=0), hessians[list(left)].sum(0)
    found: tuple[int | None, float] = (None, REVERSED)
    for client in left:
        others = [other for other in left if other != client]
        if 2 * int((scores[client][others] < 0).sum()) <= len(others):
            continue
        together = _directions(
            (total_gradient - gradients[client])[None],
            (total_hessian - hessians[client])[None],
            ridge,
        )
        score = float(_scores(together, gradients[client], hessians[client])[0])
        if score < found[1]:
            found = (client, score)
    return found


def _directions(gradients: FloatArray, hessians: FloatArray, ridge: float) -> FloatArray:
    """Newton steps from zero weights, (n, d + 1), the bias set to 0: it ranks nothing."""
    penalty = np.full(gradients.shape[1], ridge)
    penalty[-1] = 1e-6
    steps = [
        -np.linalg.solve(hessian + np.diag(penalty), gradient)
        for gradient, hessian in zip(gradients, hessians, strict=True)
    ]
    found: FloatArray = np.array(steps)
    found[:, -1] = 0.0
    return found


def _scores(directions: FloatArray, gradient: FloatArray, hessian: FloatArray) -> FloatArray:
    """Per direction, how many standard errors its score speaks for churn in these sums, (n,).

    With D = u'g and I = u'Hu, both with the intercept taken out, -D / sqrt(I) is the score test of
    the slope along u (Rao 1948).
    """
    last = max(float(hessian[-1, -1]), 1e-12)
    bent = directions @ hessian
    slope = directions @ gradient - bent[:, -1] * gradient[-1] / last
    information = np.einsum("nj,nj->n", bent, directions) - bent[:, -1] ** 2 / last
    return np.asarray(-slope / np.sqrt(np.maximum(information, 1e-12)), dtype=np.float64)
