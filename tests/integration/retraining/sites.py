"""A contract's retraining under a temporary home, with somebody who trains and cannot be killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.loop.retraining.retrain import Retrained, decide_triggers, retrain_once
from fedchurn.loop.retraining.site import RetrainSite, as_dict, retrain_site
from fedchurn.loop.retraining.trainer import OnStarted, Order, Trained
from fedchurn.retraining.drain import Facts
from fedchurn.retraining.history import History
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from tests.conftest import PROJECT
from tests.unit.retraining.events import situation

SAMPLE = PROJECT / "configs" / "samples" / "ecommerce.csv"
RELEASE = "ecommerce-1.0.0-cccccccccccc"
WRITES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.truncate", "os.rmdir"}


def site_in(home: Path) -> RetrainSite:
    """The site of the default contract, whose source is the first rows of the sample."""
    source = home.parent / "few.csv"
    if not source.exists():
        lines = SAMPLE.read_text().splitlines(keepends=True)
        source.write_text("".join(lines[:60]))
    return retrain_site(load_settings(assignments=[f"home={home}", f"data.location={source}"]))


class KeyedTrainer:
    """A server in a folder: a run per key, made once, that ends as soon as somebody looks."""

    place = "a server"

    def __init__(self, folder: Path, outcome: str = "promoted") -> None:
        self.folder = folder
        self._outcome = outcome

    @property
    def keys(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("retrain-*"))

    def train(self, order: Order, on_started: OnStarted) -> Trained | None:
        """See ``Trainer``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / order.run_key).touch()
        on_started(f"id {order.run_key}", order.run_key)
        if self._outcome == "":
            return None
        return Trained(self._outcome, RELEASE, "2", "Better.")


def gatherer(**changes: Any) -> Callable[..., Facts]:
    """Facts that speak for a retrain, but for ``changes``."""

    def gather(
        settings: Settings, contract: Contract, history: History, time: str, running: str
    ) -> Facts:
        now = situation(**{"time": time, **changes})
        return Facts(replace(now, running=running), "", "anna")

    return gather


def look(site: RetrainSite, trainer: Any, **changes: Any) -> Retrained:
    """One run of the retrain flow, without Prefect."""
    gather = gatherer(**changes)

    def decide(alone: bool) -> list[dict[str, Any]]:
        return [as_dict(s) for s in decide_triggers(site, alone=alone, gather=gather)]

    return retrain_once(site, lambda: trainer, decide)


def killed_at(step: int, home: Path, work: Callable[[], object]) -> bool:
    """Run ``work`` in a process that kills itself before its ``step``-th write under ``home``.

    Returns:
        Whether it was killed; False when it came to its end before.
    """
    process = get_context("fork").Process(target=_die, args=(step, home, work))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _die(step: int, home: Path, work: Callable[[], object]) -> None:
    left = [step]

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event in WRITES or (event == "open" and _is_write(arguments))
        if writes and str(arguments[0]).startswith(str(home)):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    work()
    os._exit(0)  # what other tests left to do at the end of their process is not done here


def _is_write(arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
