"""What could be reached if all rows were pooled: the price of privacy is the distance to it.

The only module that meets sklearn, and only when it trains. Settings are chosen by log loss on rows
that are neither training nor test rows; test rows are scored once, by the chosen settings. With
``refit`` these are fitted again on training and validation rows, as a pooled team would do; without
it, on the training rows that the federated model sees, like for like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.data.client_table import TEST, ClientTable
from fedchurn.evaluation.comparison import Scored, Setting, constant_scores, majority
from fedchurn.evaluation.pooled_rows import (
    BoostingInputs,
    Fold,
    Matrix,
    OneHotDesign,
    PooledRows,
    Vector,
    can_train,
    pool_rows,
    validation_fold,
)
from fedchurn.evaluation.sums import ScoreSums, score_sums

STAGE_TREES = 20
INNER_FOLDS = 4
INVERSE_RIDGES = tuple(float(c) for c in np.logspace(-2, 1.5, 8))


@dataclass(frozen=True)
class Boosting:
    """One candidate of the boosting grid; fields are HistGradientBoostingClassifier's own."""

    learning_rate: float
    max_leaf_nodes: int
    min_samples_leaf: int
    l2_regularization: float
    max_features: float
    max_iter: int


# Two leaves make an additive model, which wins on both real files; the others allow interactions.
SMALL_GRID = (
    Boosting(0.1, 2, 20, 1.0, 1.0, 600),
    Boosting(0.06, 4, 20, 5.0, 0.3, 500),
    Boosting(0.06, 8, 20, 5.0, 0.3, 400),
    Boosting(0.08, 16, 20, 1.0, 0.5, 200),
)
THOROUGH_GRID = (
    *SMALL_GRID,
    Boosting(0.05, 2, 20, 1.0, 1.0, 1000),
    Boosting(0.06, 3, 20, 1.0, 1.0, 600),
    Boosting(0.06, 8, 40, 1.0, 0.5, 400),
    Boosting(0.05, 31, 20, 1.0, 0.5, 300),
)


def pooled_baselines(
    tables: Sequence[ClientTable],
    *,
    seed: int,
    thorough: bool = False,
    refit: bool = True,
    num_threads: int = 1,
) -> tuple[Scored, ...]:
    """Majority, pooled logistic regression and pooled gradient boosting, in that order.

    Args:
        tables: all clients, split.
        seed: of boosting and of inner folds.
        thorough: a larger grid, and 4 group-aware inner folds over training and validation rows in
            place of the one validation part; some ten times slower.
        refit: fit the chosen settings again on training and validation rows.
        num_threads: at most so many threads; more than one helps only on idle cores (waiting
            OpenMP threads spin).

    Raises:
        DataError: a table is not split, or has other columns than the first one.
    """
    return (
        majority(tables),
        pooled_logistic_regression(tables, refit=refit),
        pooled_gradient_boosting(
            tables, seed=seed, thorough=thorough, refit=refit, num_threads=num_threads
        ),
    )


def pooled_logistic_regression(
    tables: Sequence[ClientTable],
    *,
    refit: bool = True,
    scored: Sequence[ClientTable] | None = None,
) -> Scored:
    """Logistic regression on scaled numbers, one-hot categories and missing flags.

    Args:
        tables: clients whose rows are pooled for training, split.
        refit: as in ``pooled_baselines``.
        scored: clients whose test rows are scored; ``tables`` by default.
    """
    name = "pooled logistic regression"
    rows = pool_rows(tables)
    folds = validation_fold(rows)
    if not can_train(rows, folds):
        return _rate_only(name, rows, tables, scored)
    train = folds[0][0]
    design = OneHotDesign(rows, train)
    inputs = design.matrix(rows.columns)
    losses, predictions = [], []
    for inverse_ridge in INVERSE_RIDGES:
        model = _fit_logistic(inputs[train], rows.target[train], inverse_ridge)
        predictions.append(model.predict_proba(inputs[folds[0][1]])[:, 1])
        losses.append(_log_loss(rows.target[folds[0][1]], predictions[-1]))
    best = int(np.argmin(losses))
    fitted = rows.fitted(refit)
    model = _fit_logistic(inputs[fitted], rows.target[fitted], INVERSE_RIDGES[best])
    return Scored(
        name,
        "Sees every client's rows in one place; ridge chosen on validation rows.",
        score_sums(rows.target[folds[0][1]], predictions[best]),
        _test_sums(scored or tables, lambda c: model.predict_proba(design.matrix(c))[:, 1]),
        {"inverse_ridge": INVERSE_RIDGES[best]},
    )


def pooled_gradient_boosting(
    tables: Sequence[ClientTable],
    *,
    seed: int,
    thorough: bool = False,
    refit: bool = True,
    num_threads: int = 1,
    scored: Sequence[ClientTable] | None = None,
) -> Scored:
    """Histogram gradient boosting with native categories and missing values, tuned.

    Number of trees and all other settings are chosen together; see ``pooled_baselines``.
    """
    name = "pooled gradient boosting"
    rows = pool_rows(tables)
    folds = (_inner_folds(rows, seed) if thorough else []) or validation_fold(rows)
    if not can_train(rows, folds):
        return _rate_only(name, rows, tables, scored)
    codes = BoostingInputs(rows)
    inputs = codes.matrix(rows.columns)
    fitted = rows.fitted(refit)
    with _threads(num_threads):
        search = [
            _staged_search(candidate, inputs, rows, folds, codes.is_category, seed)
            for candidate in (THOROUGH_GRID if thorough else SMALL_GRID)
        ]
        loss, num_trees, candidate, held_out = min(search, key=lambda found: found[0])
        model = _booster(candidate, codes.is_category, seed, num_trees)
        model.fit(inputs[fitted], rows.target[fitted])
        test = _test_sums(scored or tables, lambda c: model.predict_proba(codes.matrix(c))[:, 1])
    return Scored(
        name,
        "Sees every client's rows in one place; settings chosen on "
        + (f"{INNER_FOLDS} group-aware inner folds." if len(folds) > 1 else "validation rows."),
        score_sums(rows.target[np.concatenate([held for _, held in folds])], held_out),
        test,
        _boosting_settings(candidate, num_trees, loss),
    )


def logistic_regression_alone(own: ClientTable, tables: Sequence[ClientTable]) -> Scored:
    """``pooled_logistic_regression`` of one client's rows; a ``TrainAndScore``."""
    return pooled_logistic_regression([own], scored=tables)


def _boosting_settings(candidate: Boosting, num_trees: int, loss: float) -> dict[str, Setting]:
    return {
        "num_trees": num_trees,
        "learning_rate": candidate.learning_rate,
        "max_leaf_nodes": candidate.max_leaf_nodes,
        "min_samples_leaf": candidate.min_samples_leaf,
        "l2_regularization": candidate.l2_regularization,
        "max_features": candidate.max_features,
        "validation_log_loss": round(loss, 6),
    }


def _staged_search(
    candidate: Boosting,
    inputs: Matrix,
    rows: PooledRows,
    folds: Sequence[Fold],
    is_category: NDArray[np.bool_],
    seed: int,
) -> tuple[float, int, Boosting, Vector]:
    """(log loss of held-out rows, best number of trees, candidate, held-out probabilities)."""
    by_fold = []
    for train, held_out in folds:
        model = _booster(candidate, is_category, seed, candidate.max_iter)
        model.fit(inputs[train], rows.target[train])
        stages = model.staged_predict_proba(inputs[held_out])
        kept = [p[:, 1] for n, p in enumerate(stages, start=1) if n % STAGE_TREES == 0]
        by_fold.append(np.stack(kept))
    stages_by_row = np.concatenate(by_fold, axis=1)
    target = rows.target[np.concatenate([held_out for _, held_out in folds])]
    losses = [_log_loss(target, probability) for probability in stages_by_row]
    best = int(np.argmin(losses))
    return losses[best], (best + 1) * STAGE_TREES, candidate, stages_by_row[best]


def _booster(candidate: Boosting, is_category: NDArray[np.bool_], seed: int, num_trees: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=candidate.learning_rate,
        max_leaf_nodes=candidate.max_leaf_nodes,
        min_samples_leaf=candidate.min_samples_leaf,
        l2_regularization=candidate.l2_regularization,
        max_features=candidate.max_features,
        max_iter=num_trees,
        early_stopping=False,
        categorical_features=is_category,
        random_state=seed,
    )


def _fit_logistic(inputs: Matrix, target: Vector, inverse_ridge: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=inverse_ridge, max_iter=2000).fit(inputs, target)


def _inner_folds(rows: PooledRows, seed: int) -> list[Fold]:
    """Group-aware, stratified folds of training and validation rows; none where too few."""
    from sklearn.model_selection import StratifiedGroupKFold

    seen = rows.seen()
    target, keys = rows.target[seen], rows.group_keys[seen]
    rarest = min(len(np.unique(keys[target == label])) for label in (0, 1))
    if rarest < INNER_FOLDS:
        return []
    folds = StratifiedGroupKFold(INNER_FOLDS, shuffle=True, random_state=seed)
    return [(seen[a], seen[b]) for a, b in folds.split(np.zeros(len(seen)), target, keys)]


def _rate_only(
    name: str,
    rows: PooledRows,
    tables: Sequence[ClientTable],
    scored: Sequence[ClientTable] | None,
) -> Scored:
    """The churn rate for everybody: all that can be learned from one class."""
    rate = float(rows.target[rows.seen()].mean()) if len(rows.seen()) else 0.0
    return constant_scores(
        name, "Training rows hold one class only, so it is the churn rate.", rate, scored or tables
    )


def _test_sums(
    tables: Sequence[ClientTable], predict: Callable[[Mapping[str, NDArray[Any]]], Vector]
) -> dict[str, ScoreSums]:
    return {t.client: _part_sums(t.part(TEST), predict) for t in tables}


def _part_sums(
    part: ClientTable, predict: Callable[[Mapping[str, NDArray[Any]]], Vector]
) -> ScoreSums:
    if not part.num_rows:
        return ScoreSums.zero()
    return score_sums(part.target, predict(part.columns))


def _log_loss(target: Vector, probability: Vector) -> float:
    return score_sums(target, probability).log_loss_sum / len(target)


@contextmanager
def _threads(num_threads: int) -> Iterator[None]:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=num_threads):
        yield
