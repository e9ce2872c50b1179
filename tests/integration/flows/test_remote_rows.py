"""The train flow where no row lies on its machine: clients answer from behind an exchange."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.sample import generate_sample
from fedchurn.errors import QuorumError
from fedchurn.federation import engines
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import ClientHandler, Exchange
from fedchurn.loop.client_rows import CheckedClient, client_table_from_file
from fedchurn.loop.federate import federate
from fedchurn.loop.federated_drift import check_clients
from fedchurn.loop.validate import client_files, validate_stage
from fedchurn.release.load import load_release
from fedchurn.release.weights import weights_digest
from fedchurn.settings_files import load_settings
from flows.train import train
from tests.integration.flows.conftest import Prefect
from tests.unit.federation.clients import Broken

CONTRACT = load_contract("ecommerce")
NEWER = CONTRACT.model_copy(update={"version": "1.1.0"})
NAMES = ("east", "north", "west")
QUICK = ("training.phases.0.num_rounds=4", "drift.window_rows=[50]", "promotion.min_accuracy=0")
REFUSED = 'refused, for its contract differs: version: "1.0.0" here, "1.1.0" there'


class Hosts:
    """Clients beside their files; an engine that reaches them."""

    def __init__(self, folder: Path) -> None:
        self.files = {name: folder / f"{name}.csv" for name in (*NAMES, "old", "grown")}
        for seed, path in enumerate(self.files.values(), start=3):
            generate_sample(CONTRACT, rows=600, seed=seed).to_csv(path, index=False)
        self.handlers: dict[str, ClientHandler] = {name: self.session(name) for name in NAMES}
        self.handlers["old"] = self.session("old", NEWER)

    def checked(self, name: str, contract: Contract = CONTRACT) -> CheckedClient:
        return client_table_from_file(self.files[name], contract, load_settings())

    def session(self, name: str, contract: Contract = CONTRACT) -> ClientSession:
        one = self.checked(name, contract)
        return ClientSession(one.table, contract, validation=one.validation)

    def engine(
        self,
        settings: Any,
        files: Mapping[str, Path],
        make_handler: Any,
        drive: Callable[[Exchange, None], None],
    ) -> None:
        assert not files
        drive(DirectExchange(self.handlers), None)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with pytest.MonkeyPatch.context() as patch:
        found = Hosts(tmp_path_factory.mktemp("hosts"))
        patch.setitem(engines.ENGINES, "superlink", found.engine)  # type: ignore[arg-type]
        yield found


def remote(home: Path, *more: str) -> list[str]:
    place = (f"home={home}", "federation.engine=superlink", "packaging.after_promotion=false")
    return [*place, "federation.quorum_fraction=0.6", *QUICK, *more]


class Trained:
    """A first training, the same again, and one after a client's rows had changed."""

    def __init__(self, hosts: Hosts, home: Path) -> None:
        self.home = home
        self.first = train(assignments=remote(home), return_state=True)
        self.again = train(assignments=remote(home), return_state=True)
        before = hosts.handlers["west"]
        grown = hosts.checked("grown")
        table = replace(grown.table, client="west")
        hosts.handlers["west"] = ClientSession(table, CONTRACT, validation=grown.validation)
        self.grown = train(assignments=remote(home), return_state=True)
        hosts.handlers["west"] = before
        self.release = load_release(Path(self.first.result()["release_folder"]))


@pytest.fixture(scope="module")
def trained(
    prefect: Prefect,
    hosts: Hosts,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    return Trained(hosts, tmp_path_factory.mktemp("remote") / "home")


class TestWhatComesOut:
    def test_the_flow_ends_with_a_verdict(self, trained: Trained) -> None:
        assert trained.first.name == "Promoted"
        told = trained.first.result()
        assert (told["clients"], told["rows_used"]) == (3, 1800)
        assert told["refused_clients"] == {"old": REFUSED}

    def test_the_model_is_that_of_one_process_with_the_same_files(
        self, hosts: Hosts, trained: Trained, tmp_path: Path
    ) -> None:
        named = ",".join(f'"{hosts.files[name]}"' for name in NAMES)
        here = [f"home={tmp_path}", f"data.clients=[{named}]", *QUICK]
        settings = load_settings(assignments=here)
        files = client_files(validate_stage(settings, CONTRACT))
        run = federate(files, CONTRACT, settings, lambda *_: None, tmp_path / "kept")
        assert weights_digest(run.model.weights) == weights_digest(trained.release.model.weights)

    def test_unchanged_clients_train_nothing_again(self, trained: Trained) -> None:
        assert trained.again.name == "Unchanged"
        reused = ["validate", "federate", "evaluate", "register"]
        assert trained.again.result()["reused_stages"] == reused

    def test_changed_rows_are_judged_against_the_champion_at_the_clients(
        self, trained: Trained
    ) -> None:
        told = trained.grown.result()
        assert trained.grown.name in ("Promoted", "Refused")
        assert told["reused_stages"] == []
        checks = {reason["check"]: reason["sentence"] for reason in told["reasons"]}
        assert not {"rows", "own_rows", "split"} & set(checks)
        assert told["champion_before"] == trained.first.result()["version"]
        assert "clients" in checks, checks  # a comparison by client was made


class TestWhoTookPart:
    def test_the_card_names_clients_and_the_refusal_in_every_round(self, trained: Trained) -> None:
        card = trained.release.card
        assert set(card.data_digests) == set(card.client_metrics) == set(NAMES)
        assert card.participants == NAMES
        assert [dict(r.absences) for r in card.rounds] == [{"old": REFUSED}] * len(card.rounds)
        assert any("each client told its contract" in note for note in card.privacy_notes)

    def test_the_page_of_the_card_says_so(self, trained: Trained) -> None:
        page = (Path(trained.first.result()["release_folder"]) / "card.md").read_text()
        assert "old: refused, for its contract differs" in page

    def test_mlflow_has_the_lineage_of_every_split(self, hosts: Hosts, trained: Trained) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{trained.home}/mlflow.db")
        run = client.get_run(trained.first.result()["mlflow_run_id"])
        found = {
            (data.dataset.name, tags["mlflow.data.context"]): tags["sha256"]
            for data in run.inputs.dataset_inputs
            for tags in [{tag.key: tag.value for tag in data.tags}]
        }
        contexts = ("training", "validation", "test")
        tables = {name: hosts.checked(name).table for name in NAMES}
        assert found == {
            (name, context): table.part(part).digest()
            for name, table in tables.items()
            for part, context in enumerate(contexts)
        }
        assert run.data.tags["refused.old"] == REFUSED


@pytest.fixture
def page(trained: Trained) -> str:
    return Path(trained.first.result()["report"]).read_text(encoding="utf-8")


class TestReport:
    def test_every_section_is_there(self, page: str) -> None:
        sections = ("Decision", "The price of privacy", "Clients", "Plots", "Rounds", "Data")
        for section in (*sections, "Settings and versions"):
            assert f"<h2>{section}" in page, section

    def test_what_is_missing_is_said(self, page: str) -> None:
        assert "Pooled models and each client alone are not among the comparisons" in page
        assert "No row lies on the server&#39;s machine." in page
        assert "Client old took no part: refused, for its contract differs" in page

    def test_counts_are_those_that_clients_told(self, hosts: Hosts, trained: Trained) -> None:
        folder = Path(trained.first.result()["report"]).parent
        told = json.loads((folder / "training_report.json").read_text())
        assert [client["client"] for client in told["clients"]] == list(NAMES)
        for client in told["clients"]:
            table = hosts.checked(client["client"]).table
            counts = [client[f"num_{part}"] for part in ("train", "validation", "test")]
            assert counts == [table.part(part).num_rows for part in range(3)]
            assert client["rows_in"] == 600
            assert client["metrics"]["num_rows"] == counts[2]
        assert {absence["client"] for absence in told["absences"]} == {"old"}

    def test_artifacts_say_it_too(self, prefect: Prefect, trained: Trained) -> None:
        assert f"- old: {REFUSED}" in prefect.artifact("validation-ecommerce")["data"]
        assert "each client alone are not" in prefect.artifact("evaluation-ecommerce")["data"]


class TestFailures:
    @pytest.mark.usefixtures("prefect")
    def test_when_every_client_fails_the_flow_fails_with_every_reason(
        self, hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hosts, "handlers", {"a": Broken(), "b": Broken()})
        state = train(assignments=remote(tmp_path), return_state=True)
        assert state.is_failed()
        assert isinstance(state.result(raise_on_failure=False), QuorumError)
        assert "0 of 2 clients could join" in state.message
        assert "b: did not join: OSError: disk gone during join" in state.message
        assert not (tmp_path / "releases").exists()

    @pytest.mark.usefixtures("prefect")
    def test_so_it_does_when_all_fail_after_joining(
        self, hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Joins(Broken):
            def __init__(self, session: ClientHandler) -> None:
                self._session = session

            def handle(self, request: Any) -> Any:
                able = request.task in ("join", "statistics")
                return self._session.handle(request) if able else super().handle(request)

        joins: dict[str, ClientHandler] = {n: Joins(hosts.session(n)) for n in NAMES}
        monkeypatch.setattr(hosts, "handlers", joins)
        state = train(assignments=remote(tmp_path), return_state=True)
        assert state.is_failed()
        assert "0 of 3 clients gave a usable answer" in state.message
        assert "west: OSError: disk gone during" in state.message


def test_drift_by_client_is_asked_of_the_hosts(hosts: Hosts, trained: Trained) -> None:
    settings = load_settings(assignments=remote(trained.home))
    told = check_clients(settings, trained.release)
    groups = {name: hosts.checked(name).table.customer_groups for name in NAMES}
    assert {one["client"]: one["num_window_rows"] for one in told["clients"]} == {
        name: len(set(customers.tolist())) for name, customers in groups.items()
    }
    assert told["refused"] == {"old": REFUSED}
