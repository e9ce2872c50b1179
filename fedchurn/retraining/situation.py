"""What is known when a trigger is judged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NewRows:
    """Rows with known outcome that the model in production has not seen.

    Attributes:
        num_labelled: labels that came back, are mature, and can be trained on; one per customer.
        num_positive: churners among them.
        num_replaced: older rows of the source that labelled rows take the place of, for they are of
            the same customers.
        num_immature: labels that came back for predictions that are younger than
            ``maturity_days``.
        num_unusable: mature labels that cannot be trained on.
        unusable: why not, in words, "" for none.
        num_source: rows that the source has gained; None when it cannot be told, because it is not
            known which rows the model in production was trained on.
        maturity_days: age that a prediction must have before its label counts.
    """

    num_labelled: int = 0
    num_positive: int = 0
    num_replaced: int = 0
    num_immature: int = 0
    num_unusable: int = 0
    unusable: str = ""
    num_source: int | None = 0
    maturity_days: float = 30.0

    @property
    def total(self) -> int | None:
        """All of them; None when it cannot be told."""
        return None if self.num_source is None else self.num_labelled + self.num_source


@dataclass(frozen=True)
class PastRetrain:
    """A retrain that was decided before; ``outcome`` is "" while it is not known."""

    time: str
    outcome: str


@dataclass(frozen=True)
class PastDecision:
    """What was decided about the same event before: ``retrain`` or ``skip``."""

    time: str
    outcome: str


@dataclass(frozen=True)
class Situation:
    """Facts of the moment; all times ISO 8601 with a UTC offset.

    Attributes:
        time: now.
        champion_release_id: the release in production, "" for none.
        running: who trains already, in words that go on "..., so ...", "" for nobody.
        same_event: the last decision about the trigger's key.
        retrains: earlier retrains, oldest first.
        new_rows: what there is to learn from.
        same_data_as: what was trained on exactly these rows before, in words; "" for nothing.
        objection: why promotion would refuse whatever comes out, in words; "" for no reason.
    """

    time: str
    champion_release_id: str = ""
    running: str = ""
    same_event: PastDecision | None = None
    retrains: tuple[PastRetrain, ...] = ()
    new_rows: NewRows = NewRows()
    same_data_as: str = ""
    objection: str = ""
