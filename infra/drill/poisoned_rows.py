"""A client whose file is poisoned: the client's own check finds it, and nothing is trained."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fedchurn.contract.schema import Contract
from fedchurn.data.sample import generate_sample
from fedchurn.errors import ValidationFailed
from infra.drill.beginning import FEDCHURN, Drill

CLIENTS = ("north", "south", "west")
POISONED = "west"
NUM_ROWS = 1500
BAD_EVERY = 10
IMPOSSIBLE = "99999"


def write_client_files(folder: Path, contract: Contract) -> list[Path]:
    """One file per client; in the last one every tenth Tenure is beyond all limits."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = generate_sample(contract, rows=NUM_ROWS, seed=11)
    paths = []
    for number, client in enumerate(CLIENTS):
        mine = rows.iloc[number :: len(CLIENTS)].reset_index(drop=True)
        if client == POISONED:
            mine = _poisoned(mine)
        paths.append(folder / f"{client}.csv")
        mine.to_csv(paths[-1], index=False)
    return paths


def _poisoned(rows: pd.DataFrame) -> pd.DataFrame:
    bad = rows.copy()
    bad.loc[::BAD_EVERY, "Tenure"] = IMPOSSIBLE
    return bad


def poisoned_file(drill: Drill) -> None:
    """Train with the three files; the run must stop before any round, and name client and rule."""
    site = drill.site
    with drill.timeline.step("poisoned client: rows", 90, [site.log("poisoned-rows")]) as step:
        paths = write_client_files(site.home / "poisoned", drill.contract)
        named = [word for path in paths for word in ("--data", str(path))]
        ended = site.commands.run(
            "poisoned-rows",
            [FEDCHURN, "train", *named, "--json"],
            timeout_seconds=step.remaining_seconds,
        )
        told = str(ended.last_object.get("what"))
        step.check(ended.code == ValidationFailed.exit_code, f"exit code {ended.code}: {told}")
        for word in (POISONED, "Tenure", "hard_range"):
            step.check(word in told, f"{word!r} is not in: {told}")
        good = [client for client in CLIENTS if client != POISONED and f"client {client}" in told]
        step.check(not good, f"blamed, too: {good}")
        step.saw(
            f"validation stops the run: client {POISONED}, Tenure, hard_range; nothing trained"
        )
