"""Layers of settings, later ones win, and errors that name the user's own path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedchurn.errors import SettingsError
from fedchurn.learning.recipe import LocalPhase, NewtonPhase
from fedchurn.settings import Settings
from fedchurn.settings_files import (
    config_folder,
    environment_layer,
    load_settings,
    recipe_names,
)

PLACES = ("FEDCHURN_HOME", "MLFLOW_TRACKING_URI")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No settings from the shell; recipes are those of the project."""
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file(text: str, name: str = "mine.yaml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def refusal(*assignments: str, config: Path | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, assignments)
    assert caught.value.what
    assert caught.value.where
    assert caught.value.next_step
    return caught.value


class TestLayers:
    def test_defaults_are_the_additive_recipe_on_the_sample(self) -> None:
        settings = load_settings()
        assert (settings.contract, settings.recipe, settings.home) == (
            "ecommerce",
            "additive",
            Path(".fedchurn"),
        )
        assert settings.training.name == "additive"
        assert isinstance(settings.training.phases[0], NewtonPhase)
        assert settings.data.location is None

    def test_each_layer_wins_over_the_one_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = file("seed: 1\nhome: from_file\nsplit: {test_fraction: 0.3}\n")
        assert load_settings(config).seed == 1
        assert load_settings(config, values={"seed": 2}).seed == 2
        assert load_settings(config, ["seed=3"], {"seed": 2}).seed == 3
        assert load_settings(config, ["seed=3", "seed=4"]).seed == 4
        monkeypatch.setenv("FEDCHURN_HOME", "from_environment")
        assert load_settings().home == Path("from_environment")
        assert load_settings(config).home == Path("from_file")
        assert load_settings(config, ["home=given"]).home == Path("given")

    def test_a_layer_touches_nothing_that_it_does_not_name(self) -> None:
        config = file("split: {test_fraction: 0.3}\n")
        settings = load_settings(config, ["split.validation_fraction=0.1"])
        assert (settings.split.test_fraction, settings.split.validation_fraction) == (0.3, 0.1)

    def test_the_tracking_uri_comes_from_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
        assert load_settings().tracking_uri == "http://mlflow:5000"
        given = load_settings(None, ["tracking.uri=http://other:5000"])
        assert given.tracking_uri == "http://other:5000"

    def test_an_empty_variable_is_no_place(self) -> None:
        assert environment_layer(dict.fromkeys(PLACES, "")) == {}

    def test_the_embedded_store_lies_in_home_whatever_the_folder(self, tmp_path: Path) -> None:
        settings = load_settings(None, ["home=here"])
        assert settings.tracking_uri == f"sqlite:///{tmp_path}/here/mlflow.db"

    def test_values_are_yaml(self) -> None:
        settings = load_settings(
            None,
            ["data.clients=[a.csv, b.csv]", "quality.drop_exact_duplicates=no", "data.sheet=null"],
        )
        assert settings.data.clients == ("a.csv", "b.csv")
        assert settings.quality.drop_exact_duplicates is False
        assert settings.data.sheet is None

    def test_a_value_may_hold_an_equals_sign(self) -> None:
        settings = load_settings(None, ["data.query=SELECT * FROM t WHERE a=1"])
        assert settings.data.query == "SELECT * FROM t WHERE a=1"

    def test_an_empty_file_changes_nothing(self) -> None:
        assert load_settings(file("# nothing\n")) == load_settings()


class TestRecipes:
    def test_the_shipped_ones_are_valid(self) -> None:
        names = recipe_names()
        assert names == ["additive", "additive+residual", "private", "reference"]
        for name in names:
            assert load_settings(values={"recipe": name}).training.name == name

    def test_one_phase_is_changed_by_its_place(self) -> None:
        settings = load_settings(
            None, ["training.phases.1.num_rounds=2"], {"recipe": "additive+residual"}
        )
        first, second = settings.training.phases
        assert isinstance(first, NewtonPhase)
        assert isinstance(second, LocalPhase)
        assert (first.num_rounds, second.num_rounds, second.batch_size) == (12, 2, 32)

    def test_a_list_is_replaced_as_a_whole(self) -> None:
        settings = load_settings(None, ["training.phases=[{strategy: fedavg, num_rounds: 3}]"])
        (phase,) = settings.training.phases
        assert isinstance(phase, LocalPhase)
        assert phase.num_rounds == 3

    def test_the_recipe_named_last_is_read(self) -> None:
        config = file("recipe: reference\ntraining: {encoder: {num_knots: 4}}\n")
        assert load_settings(config).training.name == "reference"
        changed = load_settings(config, ["recipe=additive"])
        assert (changed.training.name, changed.training.encoder.num_knots) == ("additive", 4)

    def test_recipes_of_the_current_folder_come_first(self) -> None:
        folder = Path("configs") / "recipes"
        folder.mkdir(parents=True)
        (folder / "mine.yaml").write_text("name: mine\nphases: [{strategy: newton}]\n")
        assert config_folder("recipes") == folder
        assert load_settings(values={"recipe": "mine"}).training.name == "mine"


class TestMistakes:
    @pytest.mark.parametrize(
        ("assignment", "path", "meant"),
        [
            ("sed=3", "sed", "seed"),
            ("data.shceme=iid", "data.shceme", "scheme"),
            ("training.encoder.basi=linear", "training.encoder.basi", "basis"),
            ("training.phases.0.num_round=3", "training.phases.0.num_round", "num_rounds"),
            (
                "training.phases=[{strategy: fedavg, hidden: [{units: 3, dropot: 0.1}]}]",
                "training.phases.0.hidden.0.dropot",
                "dropout",
            ),
            ("promotion.min_acuracy=0.9", "promotion.min_acuracy", "min_accuracy"),
        ],
    )
    def test_a_mistyped_key_is_named_as_it_was_written(
        self, assignment: str, path: str, meant: str
    ) -> None:
        error = refusal(assignment)
        assert error.what == f"unknown setting {path!r}"
        assert error.next_step == f"did you mean {meant!r}?"

    def test_a_key_like_nothing_is_answered_with_what_there_is(self) -> None:
        assert "contract, data, drift, evaluation" in refusal("zzz=1").next_step

    @pytest.mark.parametrize(
        ("assignment", "what"),
        [
            ("seed=soon", "seed = 'soon': "),
            ("data.num_clients=0", "data.num_clients = 0: Input should be greater than or equal"),
            (
                "federation.engine=rey",
                "federation.engine = 'rey': Input should be 'auto', 'inprocess'",
            ),
            ("training.phases.0.num_rounds=0", "training.phases.0.num_rounds = 0: "),
            ("training.phases=[]", "training.phases = []: "),
            ("data=5", "data = 5: "),
            ("drift.window_rows=[]", "drift.window_rows = []: "),
            ("drift.window_rows=[0]", "drift.window_rows.0 = 0: "),
            ("drift.num_flagged=4", "drift.num_windows = 3: Value error, less than num_flagged"),
            ("drift.min_rows=200000", "drift.max_window_rows = 100000: Value error, less than"),
        ],
    )
    def test_a_value_out_of_range(self, assignment: str, what: str) -> None:
        error = refusal(assignment)
        assert error.what.startswith(what)
        assert error.next_step == f"correct the value of {what.partition(' = ')[0]}"

    def test_an_unknown_strategy(self) -> None:
        error = refusal("training.phases.0.strategy=fedavgg")
        assert error.what == "training.phases.0.strategy = 'fedavgg' is not known"
        assert error.next_step == "did you mean 'fedavg'?"

    def test_all_mistakes_are_told_at_once(self) -> None:
        error = refusal("sed=3", "split.test_fraction=2", config=file("quality: {mood: bad}\n"))
        for path in ("'sed'", "split.test_fraction = 2", "'quality.mood'"):
            assert path in error.what
        assert error.where == "mine.yaml"

    def test_an_unknown_recipe(self) -> None:
        error = refusal("recipe=additve")
        assert (error.what, error.where) == ("unknown recipe 'additve'", "recipe")
        assert error.next_step == "did you mean 'additive'?"

    @pytest.mark.parametrize("place", ["1", "x", "-1"])
    def test_a_phase_that_is_not_there(self, place: str) -> None:
        error = refusal(f"training.phases.{place}.num_rounds=3")
        assert repr(place) in error.what
        assert "the last is 0" in error.next_step

    @pytest.mark.parametrize("text", ["seed", "=5", "  =5", ""])
    def test_no_assignment(self, text: str) -> None:
        error = refusal(text)
        assert (error.what, error.where) == (f"{text!r} is not key=value", "--set")

    def test_a_value_that_is_not_yaml(self) -> None:
        assert refusal("data.query={").what == "the value of 'data.query={' is not YAML"

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"- a\n- b\n", "holds a list"),
            (b"seed: [", "is not YAML"),
            (b"\xff\xfe\x00", "is not text in UTF-8 (byte 1)"),
        ],
    )
    def test_a_file_that_is_none(self, content: bytes, what: str) -> None:
        Path("odd.yaml").write_bytes(content)
        error = refusal(config=Path("odd.yaml"))
        assert error.what.startswith(what)
        assert error.where == "odd.yaml"

    def test_a_file_that_is_absent(self) -> None:
        error = refusal(config=Path("absent.yaml"))
        assert error.where == "absent.yaml"
        assert "--config" in error.next_step


def test_contracts_never_compete_for_a_registered_model() -> None:
    settings = load_settings()
    assert settings.model_name("ecommerce") == "churn_prediction_model"
    assert settings.model_name("telco") == "churn_prediction_model_telco"
    named = load_settings(None, ["tracking.model_name=mine"])
    assert named.model_name("telco") == "mine"


def test_settings_survive_the_way_through_a_flow_parameter() -> None:
    settings = load_settings(None, ["data.clients=[a.csv]"], {"recipe": "reference"})
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings
