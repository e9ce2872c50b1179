"""The phases of a recipe, one after another, from wherever an earlier run of it got to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fedchurn.encoding.encoder import Encoder
from fedchurn.federation.algorithms.algorithm import Algorithm
from fedchurn.federation.algorithms.local_training import LocalTraining
from fedchurn.federation.algorithms.newton import Newton
from fedchurn.federation.algorithms.of_phase import algorithm_of, max_rounds, stop_rule
from fedchurn.federation.exchange import Exchange
from fedchurn.federation.privacy.private_training import PrivateTraining
from fedchurn.federation.privacy.terms import PrivateTerms
from fedchurn.federation.training.checkpoint import Checkpoints, Progress
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.judge_half import mean_weights
from fedchurn.federation.training.rounds import play_rounds
from fedchurn.federation.training.state import BestRound, RoundRecord, RoundState, excluded_in
from fedchurn.federation.training.train_half import train_round
from fedchurn.learning.recipe import NewtonPhase, Phase, Recipe
from fedchurn.learning.spec import ModelSpec, Weights

OnProgress = Callable[[RoundRecord, int], None]
"""Called with a round's record and the largest number of rounds that may be played."""


class Course:
    """Plays a recipe's phases, numbers their rounds through, and keeps progress after each.

    Attributes:
        progress: how far it got; a new record after every round.
    """

    def __init__(
        self,
        exchange: Exchange,
        policy: RoundPolicy,
        recipe: Recipe,
        encoder: Encoder,
        progress: Progress,
        on_progress: OnProgress,
        checkpoints: Checkpoints,
        private: PrivateTerms | None = None,
    ) -> None:
        self._exchange = exchange
        self._policy = policy
        self._recipe = recipe
        self._encoder = encoder
        self._on_progress = on_progress
        self._checkpoints = checkpoints
        self._private = private
        self.progress = progress

    def play(self, seed: int, min_cell_rows: int) -> tuple[ModelSpec, BestRound, Weights]:
        """All that is left to play: the model's shape, the last phase's best, the final weights."""
        for record in self.progress.records:
            self._tell(record)
        before: tuple[ModelSpec, Weights] | None = None
        for number, phase in enumerate(self._recipe.phases):
            algorithm = self._algorithm(phase, before, seed, min_cell_rows)
            if number >= len(self.progress.bests):
                self._play_phase(algorithm, phase)
            best = self.progress.bests[number]
            before = (algorithm.spec, best.weights)
        last = self._recipe.phases[-1]
        if isinstance(last, NewtonPhase) and last.refit_rounds:
            return algorithm.spec, best, self._refit(last, best, min_cell_rows)
        return algorithm.spec, best, best.weights

    def _algorithm(
        self,
        phase: Phase,
        before: tuple[ModelSpec, Weights] | None,
        seed: int,
        min_cell_rows: int,
    ) -> Algorithm:
        algorithm = algorithm_of(
            phase,
            self._encoder,
            before,
            seed=seed,
            min_cell_rows=min_cell_rows,
            summed=self._policy.summed,
        )
        if self._private is None:
            return algorithm
        assert isinstance(algorithm, LocalTraining)  # the terms were agreed on such a phase
        return PrivateTraining(algorithm, self._private)

    def _play_phase(self, algorithm: Algorithm, phase: Phase) -> None:
        rounds_before = self._rounds_before(self.progress.state)

        def keep(record: RoundRecord, state: RoundState) -> None:
            best_round_num = self.progress.best_round_num
            if record.is_best and (record.round_num or not rounds_before):
                best_round_num = rounds_before + record.round_num
            self.progress = replace(self.progress, state=state, best_round_num=best_round_num)
            # Round 0 of a later phase is the model that the phase before ended with.
            told = record.round_num or not rounds_before
            self._keep(record if told else None, rounds_before + record.round_num)

        state = play_rounds(
            algorithm,
            self._exchange,
            self._policy.without(self._excluded()),
            stop_rule(phase),
            keep,
            state=self.progress.state,
        )
        assert state.best is not None  # the evaluation before round 1 sets it
        bests = (*self.progress.bests, state.best)
        self.progress = replace(self.progress, bests=bests, state=None)

    def _refit(self, phase: NewtonPhase, best: BestRound, min_cell_rows: int) -> Weights:
        """The chosen ridges on training and validation rows, each from its best weights."""
        algorithm = Newton(
            self._encoder.to_json(),
            self._encoder.num_inputs,
            tuple(phase.ridges[number] for number in best.near),
            split="train+validation",
            first_weights=best.candidates,
            min_cell_rows=min_cell_rows,
        )
        state = self.progress.state if self.progress.refitting else None
        state = state or algorithm.start()
        while state.round_num < phase.refit_rounds:
            rounds_before = self._rounds_before(state)
            policy = self._policy.without(self._excluded())
            state, record = train_round(state, algorithm, self._exchange, policy)
            self.progress = replace(self.progress, state=state, refitting=True)
            self._keep(replace(record, strategy="newton refit"), rounds_before + state.round_num)
        return mean_weights(state.candidates)

    def _excluded(self) -> dict[str, str]:
        """Who is out because of an earlier round, with the reason."""
        return excluded_in(self.progress.records)

    def _rounds_before(self, state: RoundState | None) -> int:
        """Rounds played before the phase that ``state`` belongs to."""
        played = self.progress.records[-1].round_num if self.progress.records else 0
        return played - (state.round_num if state else 0)

    def _keep(self, record: RoundRecord | None, round_num: int) -> None:
        numbered = () if record is None else (replace(record, round_num=round_num),)
        records = (*self.progress.records, *numbered)
        self.progress = replace(self.progress, records=records)
        self._checkpoints.keep(self.progress)
        for one in numbered:
            self._tell(one)

    def _tell(self, record: RoundRecord) -> None:
        self._on_progress(record, sum(map(max_rounds, self._recipe.phases)))
