"""Clients make, keep and judge models of their own; only sums and two numbers leave."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedchurn.data.client_table import ClientTable
from fedchurn.errors import QuorumError
from fedchurn.evaluation.sums import ScoreSums, score_sums
from fedchurn.evaluation.thresholds import Objective
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.model_messages import of_candidate
from fedchurn.federation.personal.client import STAYS
from fedchurn.federation.personal.question import PersonalQuestion, ask_to_personalise
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.train import train_federated
from fedchurn.learning.recipe import NewtonPhase, Recipe
from fedchurn.release.personal import read_personal, scorer_digest
from fedchurn.release.scorer import Scorer
from tests.unit.federation.clients import CONTRACT, Altered, table

LIKE_ALL = [table("a", 300, 1), table("b", 300, 2), table("c", 300, 3)]


def turned(one: ClientTable) -> ClientTable:
    """A client where those churn who stay elsewhere."""
    return replace(one, client="odd", target=(1 - one.target).astype(np.int8))


TABLES = [*LIKE_ALL, turned(table("odd", 300, 4))]
RECIPE = Recipe(name="small", phases=(NewtonPhase(strategy="newton", num_rounds=4, ridges=(1.0,)),))


@pytest.fixture(scope="module")
def question() -> PersonalQuestion:
    exchange = DirectExchange({t.client: ClientSession(t, CONTRACT) for t in LIKE_ALL})
    model = train_federated(exchange, CONTRACT, RECIPE, RoundPolicy())
    return PersonalQuestion(
        model=Scorer(CONTRACT, model.encoder, model.spec, model.weights),
        selection_weights=model.selection_weights,
        threshold=0.5,
        objective=Objective("accuracy"),
        strengths=(1.0, 10.0, 100.0),
        min_rows=5,
        min_cell_rows=5,
    )


def sessions(folder: Path, tables: list[ClientTable]) -> dict[str, ClientSession]:
    return {t.client: ClientSession(t, CONTRACT, personal=folder / t.client) for t in tables}


def test_an_odd_client_gains_beyond_noise_and_the_others_are_told_no_gain(
    tmp_path: Path, question: PersonalQuestion
) -> None:
    found = ask_to_personalise(DirectExchange(sessions(tmp_path, TABLES)), RoundPolicy(), question)
    assert found.verdict("odd") == "better"
    odd = found.clients["odd"]
    assert odd.own["roc_auc"] > 0.6 > 0.5 > odd.of_all["roc_auc"]  # type: ignore[operator]
    for client in ("a", "b", "c"):
        assert found.verdict(client) in ("model of all", "within noise")


def test_the_kept_model_is_the_one_that_was_judged(
    tmp_path: Path, question: PersonalQuestion
) -> None:
    handlers = sessions(tmp_path, TABLES)
    (reply,) = DirectExchange({"odd": handlers["odd"]}).ask(question.request())
    kept = read_personal(tmp_path / "odd", scorer_digest(question.model))
    test = TABLES[3].part(2)
    judged = ScoreSums.from_arrays(of_candidate(reply.arrays, 1))
    assert score_sums(test.target, kept.model.score(test.columns)) == judged
    assert kept.threshold == reply.numbers["threshold"]
    assert kept.strength == reply.numbers["strength"]


def test_only_sums_and_choices_leave(tmp_path: Path, question: PersonalQuestion) -> None:
    (reply,) = DirectExchange({"odd": sessions(tmp_path, TABLES)["odd"]}).ask(question.request())
    assert set(reply.arrays) == {
        f"candidate_{place}.score_{part}"
        for place in (0, 1)
        for part in ("totals", "positive_counts", "negative_counts")
    }
    assert set(reply.numbers) == {
        "strength",
        "threshold",
        "num_rows",
        "log_loss_gain",
        "log_loss_error",
        "auc_gain",
        "auc_error",
    }


def test_below_k_test_rows_no_figures_leave(tmp_path: Path, question: PersonalQuestion) -> None:
    few = dataclasses.replace(question, min_cell_rows=200)
    found = ask_to_personalise(DirectExchange(sessions(tmp_path, TABLES)), RoundPolicy(), few)
    odd = found.clients["odd"]
    assert (odd.num_rows, odd.of_all, odd.own) == (0, {}, {})
    assert found.verdict("odd") == "model of all"
    (reply,) = DirectExchange({"odd": sessions(tmp_path, TABLES)["odd"]}).ask(few.request())
    assert reply.arrays == {}


def test_a_clients_own_floor_cannot_be_lowered(tmp_path: Path, question: PersonalQuestion) -> None:
    session = ClientSession(TABLES[3], CONTRACT, min_cell_rows=200, personal=tmp_path)
    (reply,) = DirectExchange({"odd": session}).ask(question.request())
    assert reply.numbers["num_rows"] == 0
    # Its validation rows are fewer than its floor too, so it chooses nothing by them.
    assert (reply.numbers["strength"], reply.numbers["threshold"]) == (STAYS, 0.5)


def test_few_validation_rows_keep_model_and_threshold_of_all(
    tmp_path: Path, question: PersonalQuestion
) -> None:
    careful = dataclasses.replace(question, min_rows=100)
    found = ask_to_personalise(DirectExchange(sessions(tmp_path, TABLES)), RoundPolicy(), careful)
    assert all(one.strength is None for one in found.clients.values())
    assert all(one.threshold == 0.5 for one in found.clients.values())
    odd = found.clients["odd"]
    assert odd.own == odd.of_all
    kept = read_personal(tmp_path / "odd", scorer_digest(question.model))
    assert kept.model.to_files() == question.model.to_files()


def test_a_refit_is_followed_on_all_rows_that_it_saw(
    tmp_path: Path, question: PersonalQuestion
) -> None:
    assert question.request().config["split"] == "train"
    moved = tuple(np.asarray(w + np.float32(0.01), np.float32) for w in question.model.weights)
    refitted = dataclasses.replace(question, model=replace(question.model, weights=moved))
    assert refitted.request().config["split"] == "train+validation"
    found = ask_to_personalise(DirectExchange(sessions(tmp_path, TABLES)), RoundPolicy(), refitted)
    assert found.verdict("odd") == "better"


def test_who_has_no_folder_or_answers_nonsense_is_absent(
    tmp_path: Path, question: PersonalQuestion
) -> None:
    def odd_answer(request: Request, reply: Reply) -> Reply:
        return replace(reply, numbers={**reply.numbers, "threshold": 7.0})

    handlers = sessions(tmp_path, TABLES)
    exchange = DirectExchange(
        {
            "a": handlers["a"],
            "b": Altered(handlers["b"], odd_answer),
            "c": ClientSession(LIKE_ALL[2], CONTRACT),
        }
    )
    found = ask_to_personalise(exchange, RoundPolicy(quorum_fraction=0.3), question)
    assert set(found.clients) == {"a"}
    assert "threshold 7.0" in found.absences["b"]
    assert "no folder" in found.absences["c"]
    with pytest.raises(QuorumError):
        ask_to_personalise(exchange, RoundPolicy(), question)
