"""What registration stands on: the settings and the results of the stages before it."""

from __future__ import annotations

from dataclasses import dataclass

from fedchurn.contract.schema import Contract
from fedchurn.loop.stage import StageResult
from fedchurn.settings import Settings


@dataclass(frozen=True)
class StagesBefore:
    """Results as the stages return them.

    Attributes:
        settings: of the run.
        contract: what the rows mean.
        validated: of ``validate_stage``.
        trained: of ``federate_tracked``.
        evaluated: of ``evaluate_stage``.
    """

    settings: Settings
    contract: Contract
    validated: StageResult
    trained: StageResult
    evaluated: StageResult
