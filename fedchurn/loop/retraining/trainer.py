"""Who trains: the port, and the training in this very process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fedchurn.errors import BusyError
from fedchurn.loop.retraining.stored_rows import TrainingData
from fedchurn.settings import Settings


@dataclass(frozen=True)
class Order:
    """A training that was decided.

    Attributes:
        run_key: idempotency key: ordered twice, it is trained once.
        contract: its name.
        data: what to train on.
        resolved: settings of the training, data included.
        config: YAML file with settings, for who resolves them himself, or None.
        assignments: texts like ``seed=7`` for the same; those that name the data come last.
    """

    run_key: str
    contract: str
    data: TrainingData
    resolved: Settings
    config: str | None
    assignments: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """How a training ended.

    Attributes:
        outcome: ``promoted``, ``refused``, ``unchanged`` or ``failed``.
        release_id, version: of what came out, "" where nothing did.
        summary: why, in words.
    """

    outcome: str
    release_id: str
    version: str
    summary: str


PROCESS = "this process"  # the place of trainings that die with who ordered them


class TrainingFailed(Exception):
    """A training came to an end without a verdict; ``cause`` says why."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


OnStarted = Callable[[str, str], None]


class Trainer(Protocol):
    """Carries out orders; one with a known key is not begun again, it is gone on with."""

    @property
    def place(self) -> str:
        """Who trains, in words."""

    def train(self, order: Order, on_started: OnStarted) -> Trained | None:
        """Train, or wait for the training that was begun under this key.

        Args:
            order: what to do.
            on_started: is told id and name of the run as soon as it is known under them.

        Returns:
            How it ended; None when that is not known yet, and waiting longer is no use here.

        Raises:
            TrainingFailed: it ended without a verdict. Any other error says nothing about it.
        """


class ProcessTrainer:
    """Trains in this process.

    A killed training leaves complete stages, so the same order goes on from the last of them and
    ends in the same release.

    Args:
        train: the train flow's own code: settings in, its outcome as a dictionary out.
    """

    place = PROCESS

    def __init__(self, train: Callable[[Settings], dict[str, Any]]) -> None:
        self._train = train

    def train(self, order: Order, on_started: OnStarted) -> Trained | None:
        """See ``Trainer``."""
        on_started("", f"train-{order.contract}, in process")
        try:
            return trained(self._train(order.resolved))
        except BusyError:  # another training took all the time there was to wait
            return None
        except Exception as error:
            raise TrainingFailed(error) from error


def trained(outcome: dict[str, Any]) -> Trained:
    """What the train flow returns, in short."""
    return Trained(
        outcome=str(outcome["outcome"]),
        release_id=str(outcome["release_id"]),
        version=str(outcome["version"]),
        summary=str(outcome["summary"]),
    )


def make_order(
    run_key: str,
    contract: str,
    data: TrainingData,
    settings: Settings,
    config: str | None,
    assignments: Sequence[str],
) -> Order:
    """The order for ``data``; without rows of its own, the settings' source is read as it is."""
    told = [*assignments, f"home={json.dumps(str(settings.home.resolve()))}"]
    resolved = settings
    if data.replaces_source:
        changed = {
            "location": data.location,
            "clients": data.clients,
            "sheet": None,
            "query": None,
        }
        resolved = settings.model_copy(update={"data": settings.data.model_copy(update=changed)})
        told += [f"data.{name}={json.dumps(value)}" for name, value in changed.items()]
    absolute = str(Path(config).resolve()) if config else None
    return Order(run_key, contract, data, resolved, absolute, tuple(told))
