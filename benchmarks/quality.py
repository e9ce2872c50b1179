"""ROC-AUC on the real files, five group-aware folds: the recipes beside their baselines.

E-commerce and Telco, each dealt to clients three ways. Pooled gradient boosting is tuned by inner
folds of the training part, nothing is chosen on test folds. Takes some minutes per row. Run it with
``python -m benchmarks.quality --data-dir FOLDER``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fedchurn.contract.load import load_contract
from fedchurn.errors import FedchurnError
from fedchurn.loop.crossval import crossval, with_scheme
from fedchurn.quiet import apply_quiet_environment
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings

FILES = {"ecommerce": "E_Commerce_Dataset.xlsx", "telco": "Telco-Customer-Churn.csv"}
SCHEMES = ("iid", "dirichlet", "silo")
RECIPES = ("additive", "reference")
NUM_FOLDS = 5
NUM_CLIENTS = 3
ALPHA = 0.5
BOOSTING = "pooled gradient boosting"
ALONE = "each client alone, all test rows"
MOST_BELOW_BOOSTING = 0.003
LEAST_ABOVE_ALONE = 0.03  # on silos


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        contract: data set.
        scheme: how its rows are dealt.
        split: the same in words.
        seconds: wall time of all recipes and baselines.
        auc: ROC-AUC per test fold of every seed, by model.
        refusal: why the rows could not be dealt or trained on, "" where they could.
    """

    contract: str
    scheme: str
    split: str
    seconds: float
    auc: dict[str, list[float]]
    refusal: str = ""

    def mean(self, model: str) -> float | None:
        """Mean over folds; None for a model that was not trained."""
        return float(np.mean(self.auc[model])) if model in self.auc else None

    def above(self, model: str, other: str) -> float | None:
        """Difference of means."""
        ours, theirs = self.mean(model), self.mean(other)
        return None if ours is None or theirs is None else ours - theirs

    def noise(self, model: str, other: str) -> float:
        """Standard error of ``above`` over folds."""
        differences = np.subtract(self.auc[model], self.auc[other])
        return float(np.std(differences, ddof=1) / np.sqrt(len(differences)))

    def demands(self, recipe: str) -> dict[str, bool | None]:
        """Whether each demand holds; None where it is not asked or cannot be told."""
        boosting, alone = self.above(recipe, BOOSTING), self.above(recipe, ALONE)
        reference = self.above(recipe, "reference")
        is_silo = self.scheme == "silo"
        return {
            "within": None if boosting is None else boosting >= -MOST_BELOW_BOOSTING,
            "above_alone": alone >= LEAST_ABOVE_ALONE if is_silo and alone is not None else None,
            "above_reference": None if reference is None else reference > 0,
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every data set and split, printing each row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=_default_folder())
    parser.add_argument("--folds", type=int, default=NUM_FOLDS)
    parser.add_argument("--seeds", type=int, default=1, help="repeat with so many deals and folds")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--contracts", nargs="+", default=list(FILES), choices=list(FILES))
    parser.add_argument("--schemes", nargs="+", default=list(SCHEMES), choices=SCHEMES)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args(arguments)
    apply_quiet_environment(os.environ)
    recipes = tuple(options.recipes)
    print(_line(_heads(recipes)), _line(["---"] * len(_heads(recipes))), sep="\n", flush=True)
    cases = []
    for contract in options.contracts:
        for scheme in options.schemes:
            location = options.data_dir / FILES[contract]
            cases.append(measure(contract, location, scheme, recipes, options.folds, options.seeds))
            print(_line(_cells(cases[-1], recipes)), flush=True)
    print(f"peak memory {_peak_mib():.0f} MiB")
    if options.json:
        print(json.dumps({"cases": [_record(c, recipes[0]) for c in cases]}))


def measure(
    contract: str,
    location: Path,
    scheme: str,
    recipes: Sequence[str],
    num_folds: int,
    num_seeds: int = 1,
    *,
    thorough: bool = True,
) -> Case:
    """ROC-AUC per fold of the recipes and, once, of the baselines, which no recipe changes."""
    begun = time.perf_counter()
    auc: dict[str, list[float]] = {}
    refusal = ""
    split = scheme
    try:
        document = load_contract(contract)
        split = f"silo {document.silo_column}" if scheme == "silo" else _dealt(scheme)
        with TemporaryDirectory() as home:
            for further, recipe in product(range(num_seeds), recipes):
                settings = _settings(contract, location, scheme, recipe, Path(home), thorough)
                settings = _reseeded(settings, further)
                if recipe != recipes[0]:
                    settings = _without_baselines(settings)
                for name, folds in _aucs(crossval(settings, document, num_folds=num_folds)).items():
                    auc.setdefault(name, []).extend(folds)
    except FedchurnError as error:
        refusal = str(error)
    return Case(contract, scheme, split, time.perf_counter() - begun, auc, refusal)


def _dealt(scheme: str) -> str:
    return f"{scheme}({ALPHA}), {NUM_CLIENTS}" if scheme == "dirichlet" else f"iid, {NUM_CLIENTS}"


def _settings(
    contract: str, location: Path, scheme: str, recipe: str, home: Path, thorough: bool
) -> Settings:
    settings = load_settings(
        values={
            "contract": contract,
            "home": str(home),
            "recipe": recipe,
            "evaluation": {"thorough": thorough},
            "data": {"location": str(location), "num_clients": NUM_CLIENTS, "alpha": ALPHA},
        }
    )
    return with_scheme(settings, scheme)


def _reseeded(settings: Settings, further: int) -> Settings:
    """Other clients and folds (the split's own seed), and other draws in training."""
    split = settings.split.model_copy(update={"seed": settings.split.seed + further})
    return settings.model_copy(update={"seed": settings.seed + further, "split": split})


def _without_baselines(settings: Settings) -> Settings:
    evaluation = settings.evaluation.model_copy(update={"baselines": False})
    return settings.model_copy(update={"evaluation": evaluation})


def _aucs(result: dict[str, Any]) -> dict[str, list[float]]:
    return {
        name.removeprefix("federated "): model["folds"]["roc_auc"]
        for name, model in result["models"].items()
        if name != "majority"
    }


def _heads(recipes: Sequence[str]) -> list[str]:
    return [
        *("data", "split", *recipes, "boosting, pooled", "each client alone", "to boosting"),
        *("within 0.003", "0.03 above alone (silos)", "above reference", "seconds"),
    ]


def _cells(case: Case, recipes: Sequence[str]) -> list[str]:
    head = [case.contract, case.split]
    if case.refusal:
        return [*head, f"refused: {' '.join(case.refusal.split())}"]
    means = [case.mean(model) for model in (*recipes, BOOSTING, ALONE)]
    return [
        *head,
        *("" if mean is None else f"{mean:.4f}" for mean in means),
        f"{case.above(recipes[0], BOOSTING):+.4f} ± {case.noise(recipes[0], BOOSTING):.4f}",
        *(_verdict(holds) for holds in case.demands(recipes[0]).values()),
        f"{case.seconds:.0f}",
    ]


def _verdict(holds: bool | None) -> str:
    return {True: "yes", False: "NO", None: ""}[holds]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _record(case: Case, recipe: str) -> dict[str, Any]:
    return {**asdict(case), "demands": case.demands(recipe)}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts KiB


def _default_folder() -> Path:
    """The folder that tests on real files use too; see tests/conftest.py."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("FEDCHURN_DATA_DIR", beside))


if __name__ == "__main__":
    main()
