"""Clients that differ: strategies on silos of the real files, mean and worst client.

Every method gets the same encoder, clients and test rows; first-order methods train the same model
by the same SGD epochs, and their learning rate is chosen by validation rows of the first seed. Run
it with ``python -m benchmarks.federation non_iid`` (some minutes; ``--cases``, ``--methods``).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable
from fedchurn.data.simulated_deal import deal_split_table
from fedchurn.data.split import fold_tables
from fedchurn.errors import FedchurnError
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import ScoreSums, add_sums
from fedchurn.evaluation.thresholds import Objective, choose_threshold
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.model_messages import of_candidate
from fedchurn.federation.personal.question import PersonalQuestion
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.scoring import evaluate
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.learning.recipe import Recipe
from fedchurn.loop.validate import read_rows, validate_clients
from fedchurn.quiet import apply_quiet_environment
from fedchurn.release.scorer import Scorer
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings

FILES = {"ecommerce": "E_Commerce_Dataset.xlsx", "telco": "Telco-Customer-Churn.csv"}
CASES: dict[str, dict[str, Any]] = {
    "ecommerce CityTier": {"contract": "ecommerce", "silo_column": "CityTier"},
    "ecommerce PreferedOrderCat": {"contract": "ecommerce", "silo_column": "PreferedOrderCat"},
    "telco Contract": {"contract": "telco", "silo_column": "Contract"},
    "ecommerce Dirichlet(0.1)": {"contract": "ecommerce", "alpha": 0.1},
    "telco Dirichlet(0.1)": {"contract": "telco", "alpha": 0.1},
}
NUM_CLIENTS = 10  # of the Dirichlet cases
NUM_ROUNDS, NUM_EPOCHS, BATCH_SIZE = 40, 5, 32
RATES = (0.005, 0.05, 0.2, 0.8)  # of clients' SGD
SERVER_RATES = {"fedavgm": (0.1, 0.5), "fedadam": (0.01, 0.05)}
LEAST_ROWS = 5  # of either class, for an AUC of a client to mean something
REACHED_WITHIN = 0.005  # of the best validation AUC of Newton rounds
# A client of one class is far from all others in a late round, and that is no attack.
POLICY = RoundPolicy(max_norm_ratio=1e6)
PERSONAL = "newton + own models"
METHODS: dict[str, dict[str, Any]] = {
    "newton": {},
    "fedavg": {},
    "fedprox": {"proximal_mu": 0.1},
    "scaffold": {},
    "fedavgm": {"server_momentum": 0.9},
    "fedadam": {},
}


@dataclass(frozen=True)
class Outcome:
    """One method on one case and seed.

    Attributes:
        case, method, seed: what.
        rate: learning rate of the clients; 0 for Newton rounds.
        mean_auc, worst_auc: over clients with five test rows of either class; NaN without any.
        pooled_auc: of all test rows together.
        mean_f1: over the same clients, at the threshold of all (own models: at their own).
        rounds: until the validation AUC was within 0.005 of the best of Newton rounds; None if
            never.
        seconds: wall time of the training.
    """

    case: str
    method: str
    seed: int
    rate: float
    mean_auc: float
    worst_auc: float
    pooled_auc: float
    mean_f1: float
    rounds: int | None
    seconds: float


@dataclass(frozen=True)
class Federation:
    """Clients of one case and seed, reached directly."""

    contract: Contract
    exchange: DirectExchange

    @classmethod
    def of(cls, tables: Sequence[ClientTable], contract: Contract, home: Path) -> Federation:
        """Sessions over the clients' rows; own models are kept below ``home``."""
        handlers = {
            table.client: ClientSession(table, contract, personal=home / str(number))
            for number, table in enumerate(tables)
        }
        return cls(contract, DirectExchange(handlers))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, printing a row per case and method as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=default_folder())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument(
        "--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD"
    )
    parser.add_argument("--network", action="store_true", help="a network of 64 and 32 units")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args(arguments)
    apply_quiet_environment(os.environ)
    heads = ["case", "method", "mean AUC", "worst client", "pooled AUC", "mean F1", "rounds"]
    print(line([*heads, "seconds"]), line(["---"] * (len(heads) + 1)), sep="\n", flush=True)
    outcomes: list[Outcome] = []
    for case in options.cases:
        try:
            found = measure(
                case, options.data_dir, options.methods, options.seeds, network=options.network
            )
        except FedchurnError as error:
            print(line([case, f"refused: {' '.join(str(error).split())}"]), flush=True)
            continue
        outcomes += found
        for method in dict.fromkeys(one.method for one in found):
            print(_row([one for one in found if one.method == method]), flush=True)
    if options.json:
        print(json.dumps({"outcomes": [asdict(one) for one in outcomes]}))


def measure(
    case: str, data_dir: Path, methods: Sequence[str], num_seeds: int, *, network: bool = False
) -> list[Outcome]:
    """All methods on one case, over seeds of dealing, splitting and training."""
    chosen: dict[str, dict[str, float]] = {}
    outcomes: list[Outcome] = []
    for seed in range(num_seeds):
        with TemporaryDirectory() as home:
            settings = case_settings(case, data_dir, seed)
            contract = load_contract(settings.contract)
            federation = Federation.of(split_tables(settings, contract, seed), contract, Path(home))
            newton = _trained(federation, settings.training, seed)
            best = max(r.validation["roc_auc"] for r in newton.model.records if r.validation)
            for method in methods:
                if method == "newton":
                    outcomes.append(_outcome(case, method, seed, newton, federation, best))
                    outcomes.append(_personal(case, seed, newton, federation, settings, best))
                    continue
                tried = [chosen[method]] if method in chosen else _rates(method, chosen)
                runs = [
                    _trained(federation, _recipe(settings, method, rates, network), seed)
                    for rates in tried
                ]
                place = int(np.argmin([run.validation_loss for run in runs]))
                chosen[method] = tried[place]
                outcomes.append(_outcome(case, method, seed, runs[place], federation, best))
    return outcomes


def _rates(method: str, chosen: Mapping[str, Mapping[str, float]]) -> list[dict[str, float]]:
    """What the first seed tries; a server optimizer keeps the clients' rate of FedAvg."""
    if method not in SERVER_RATES:
        return [{"client_learning_rate": rate} for rate in RATES]
    clients = [chosen["fedavg"]["client_learning_rate"]] if "fedavg" in chosen else RATES
    return [
        {"client_learning_rate": rate, "server_learning_rate": server_rate}
        for rate in clients
        for server_rate in SERVER_RATES[method]
    ]


@dataclass(frozen=True)
class _Run:
    model: TrainedModel
    recipe: Recipe
    seconds: float

    @property
    def validation_loss(self) -> float:
        """Of the best round."""
        return min(r.validation["log_loss"] for r in self.model.records if r.validation)


def _trained(federation: Federation, recipe: Recipe, seed: int) -> _Run:
    begun = time.perf_counter()
    model = train_federated(federation.exchange, federation.contract, recipe, POLICY, seed=seed)
    return _Run(model, recipe, time.perf_counter() - begun)


def _recipe(settings: Settings, method: str, rates: Mapping[str, Any], network: bool) -> Recipe:
    hidden = [{"units": 64, "dropout": 0.3}, {"units": 32, "dropout": 0.2}] if network else []
    phase = {
        "strategy": method,
        "num_rounds": NUM_ROUNDS,
        "hidden": hidden,
        "linear": not network,
        "optimizer": "sgd",
        "batch_size": BATCH_SIZE,
        "num_epochs": NUM_EPOCHS,
        **METHODS[method],
        **rates,
    }
    return Recipe.model_validate(
        {
            "name": method,
            "encoder": settings.training.encoder.model_dump(),
            "phases": [phase],
        }
    )


def _outcome(
    case: str, method: str, seed: int, run: _Run, federation: Federation, best: float
) -> Outcome:
    model = run.model
    scored = {
        split: evaluate(
            federation.exchange,
            POLICY,
            model.spec,
            [model.weights if split == "test" else model.selection_weights],
            model.encoder.to_json(),
            split,
        ).sums[0]
        for split in ("validation", "test")
    }
    threshold = choose_threshold(add_sums(scored["validation"].values()), Objective()).threshold
    thresholds = dict.fromkeys(scored["test"], threshold)
    return _judged(case, method, seed, run, scored["test"], thresholds, best)


def _personal(
    case: str,
    seed: int,
    run: _Run,
    federation: Federation,
    settings: Settings,
    best: float,
) -> Outcome:
    """The same model with every client's own near it, at its own threshold."""
    model, own = run.model, settings.personalisation
    validation = evaluate(
        federation.exchange,
        POLICY,
        model.spec,
        [model.selection_weights],
        model.encoder.to_json(),
        "validation",
    ).sums[0]
    question = PersonalQuestion(
        model=Scorer(federation.contract, model.encoder, model.spec, model.weights),
        selection_weights=model.selection_weights,
        threshold=choose_threshold(add_sums(validation.values()), Objective()).threshold,
        objective=Objective(),
        strengths=own.strengths,
        min_rows=own.min_rows,
        min_cell_rows=1,
    )
    replies = federation.exchange.ask(question.request())
    told = [reply for reply in replies if reply.arrays]
    sums = {r.client: ScoreSums.from_arrays(of_candidate(r.arrays, 1)) for r in told}
    thresholds = {r.client: r.numbers["threshold"] for r in told}
    return _judged(case, PERSONAL, seed, run, sums, thresholds, best)


def _judged(
    case: str,
    method: str,
    seed: int,
    run: _Run,
    test: Mapping[str, ScoreSums],
    thresholds: Mapping[str, float],
    best: float,
) -> Outcome:
    each = {client: metrics(sums, thresholds[client]) for client, sums in test.items()}
    known = [
        one
        for one in each.values()
        if min(one.num_positive, one.num_rows - one.num_positive) >= LEAST_ROWS
    ]
    reached = [
        record.round_num
        for record in run.model.records
        if record.validation and record.validation["roc_auc"] >= best - REACHED_WITHIN
    ]
    phase = run.recipe.phases[0]
    return Outcome(
        case=case,
        method=method,
        seed=seed,
        rate=float(getattr(phase, "client_learning_rate", 0.0)),
        mean_auc=float(np.mean([one.roc_auc for one in known])) if known else math.nan,
        worst_auc=min((one.roc_auc for one in known), default=math.nan),
        pooled_auc=metrics(add_sums(test.values())).roc_auc,
        mean_f1=float(np.mean([one.f1 for one in known])) if known else math.nan,
        rounds=min(reached, default=None),
        seconds=run.seconds,
    )


def case_settings(case: str, data_dir: Path, seed: int) -> Settings:
    """Settings of one case; a seed deals and splits in another way."""
    facts = CASES[case]
    location = str(data_dir / FILES[facts["contract"]])
    data: dict[str, Any] = {"location": location}
    if "silo_column" in facts:
        data |= {"scheme": "silo", "silo_column": facts["silo_column"]}
    else:
        data |= {"scheme": "iid", "num_clients": 1, "alpha": facts["alpha"]}
    values = {"contract": facts["contract"], "data": data, "split": {"seed": 2026 + seed}}
    return load_settings(values=values)


def split_tables(settings: Settings, contract: Contract, seed: int) -> list[ClientTable]:
    """Validated and split: a fifth of each client's customers is held out for the test.

    Under Dirichlet(0.1) many clients hold one class or a handful of rows, so there the whole table
    is split first and customers are dealt with their part.
    """
    validated = validate_clients(read_rows(settings, contract), settings, contract)
    split = [
        fold_tables(
            one.table,
            num_folds=5,
            fold=0,
            seed=settings.split.seed + seed,
            validation_fraction=settings.split.validation_fraction,
        )
        for one in validated
    ]
    if settings.data.scheme == "silo":
        return split
    return list(
        deal_split_table(
            split[0],
            "dirichlet",
            num_clients=NUM_CLIENTS,
            seed=settings.split.seed,
            alpha=settings.data.alpha,
        )
    )


def _row(outcomes: Sequence[Outcome]) -> str:
    cells = [outcomes[0].case, outcomes[0].method]
    for name in ("mean_auc", "worst_auc", "pooled_auc", "mean_f1"):
        values = [v for one in outcomes if math.isfinite(v := getattr(one, name))]
        spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.3f}{spread}" if values else "–")
    reached = [one.rounds for one in outcomes if one.rounds is not None]
    missed = len(outcomes) - len(reached)
    told = f"{np.median(reached):.0f}" if reached else "never"
    cells.append(f"{told} ({missed} never)" if reached and missed else told)
    return line([*cells, f"{np.mean([one.seconds for one in outcomes]):.1f}"])


def line(cells: Sequence[str]) -> str:
    """A row of a table."""
    return "| " + " | ".join(cells) + " |"


def default_folder() -> Path:
    """The folder that tests on real files use too; see tests/conftest.py."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("FEDCHURN_DATA_DIR", beside))


if __name__ == "__main__":
    main()
