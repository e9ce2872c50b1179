"""Every bad input through the real command: its exit code, the value, the place, the next step."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fedchurn import errors
from fedchurn.contract.load import load_contract
from fedchurn.data.sample import generate_sample
from tests.conftest import PROJECT
from tests.e2e.fedchurn_command import Ended, assert_told, fedchurn
from tests.e2e.small_disks import small_disk

pytestmark = pytest.mark.e2e
NUM_ROWS = 400
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Good rows, as text."""
    return generate_sample(load_contract("ecommerce"), rows=NUM_ROWS, seed=5)


@pytest.fixture
def validate(tmp_path: Path) -> Callable[..., Ended]:
    """Runs ``fedchurn validate`` in a home of its own, rows dealt evenly to three clients."""

    def run(*arguments: str) -> Ended:
        return fedchurn(
            tmp_path, "validate", "--set", "home=home", "--set", "data.scheme=iid", *arguments
        )

    return run


def test_missing_file(tmp_path: Path, validate: Callable[..., Ended], rows: pd.DataFrame) -> None:
    rows.to_csv(tmp_path / "customers.csv", index=False)
    ended = validate("--data", "custmers.csv", "--json")
    assert_told(ended, errors.SourceError.exit_code, "custmers.csv", "no such file")
    assert "did you mean 'customers.csv'?" in ended.err
    assert ended.last_object == {
        "error": "SourceError",
        "what": "no such file",
        "where": "custmers.csv",
        "next_step": "check the name; did you mean 'customers.csv'?",
        "exit_code": 4,
    }


def test_wrong_sheet(tmp_path: Path, validate: Callable[..., Ended], rows: pd.DataFrame) -> None:
    with pd.ExcelWriter(tmp_path / "book.xlsx") as book:
        rows.head(40).to_excel(book, sheet_name="E Com", index=False)
        rows.head(5).to_excel(book, sheet_name="Notes", index=False)
    code = errors.SourceError.exit_code
    told = ("book.xlsx", "no sheet 'E Comm'; there is 'E Com', 'Notes'", "did you mean 'E Com'?")
    assert_told(validate("--data", "book.xlsx"), code, *told, "--sheet")
    named = validate("--data", "book.xlsx", "--sheet", "Nots")
    assert_told(named, code, "no sheet 'Nots'", "did you mean 'Notes'?")


def _text_in_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    return _with_cell(rows, "CashbackAmount", "plenty")


def _third_label(rows: pd.DataFrame) -> pd.DataFrame:
    return _with_cell(rows, "Churn", "maybe")


def _with_cell(rows: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    """``value`` in data row 18."""
    changed = rows.astype({column: object})
    changed.loc[17, column] = value
    return changed


REJECTED: dict[str, tuple[Change, tuple[str, ...]]] = {
    "missing column": (
        lambda rows: rows.drop(columns="Tenure"),
        ("column_present", "the source has no column 'Tenure'", "rename or add the column"),
    ),
    "text in a number column": (
        _text_in_numbers,
        ("CashbackAmount", "readable", "18", "hold no number: 'plenty'", "null_tokens"),
    ),
    "target with three values": (
        _third_label,
        ("Churn", "target_labels", "18", "other than '1' (churn) and '0': 'maybe'", "target."),
    ),
    "column without values": (
        lambda rows: rows.assign(NumberOfAddress=float("nan")),
        ("NumberOfAddress", "some_values", "is empty in all", "take it out of the contract"),
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_rows_that_break_a_check(
    case: str, tmp_path: Path, validate: Callable[..., Ended], rows: pd.DataFrame
) -> None:
    change, words = REJECTED[case]
    change(rows).to_csv(tmp_path / "customers.csv", index=False)
    ended = validate("--data", "customers.csv")
    assert_told(ended, errors.ValidationFailed.exit_code, "(customers.csv)", *words)
    page = (tmp_path / "home" / "reports" / "quality-ecommerce.html").read_text()
    assert words[0] in page
    assert not any((tmp_path / "home" / "stages").iterdir()), "nothing goes on"


def test_extra_column_is_ignored_with_a_word(
    tmp_path: Path, validate: Callable[..., Ended], rows: pd.DataFrame
) -> None:
    rows.assign(Mood="fine").to_csv(tmp_path / "customers.csv", index=False)
    ended = validate("--data", "customers.csv", "--json")
    assert ended.code == 0, str(ended)
    assert "columns that the contract does not know are ignored: 'Mood'" in ended.out
    assert ended.last_object["rows_used"] == NUM_ROWS


def test_one_class_client(
    tmp_path: Path, validate: Callable[..., Ended], rows: pd.DataFrame
) -> None:
    rows.to_csv(tmp_path / "north.csv", index=False)
    rows.assign(Churn="0").to_csv(tmp_path / "south.csv", index=False)
    several = validate("--data", "north.csv", "--data", "south.csv")
    words = ("client south (south.csv)", "both_classes", "holds only '0' in 400 rows", "leave this")
    assert_told(several, errors.ValidationFailed.exit_code, *words)
    dealt = validate("--data", "south.csv")
    words = ("client_1", "0 of churn from 0 customers", "dataset.min_positives")
    assert_told(dealt, errors.SplitError.exit_code, *words)


def test_client_without_rows(
    tmp_path: Path, validate: Callable[..., Ended], rows: pd.DataFrame
) -> None:
    rows.to_csv(tmp_path / "north.csv", index=False)
    rows.head(0).to_csv(tmp_path / "south.csv", index=False)
    ended = validate("--data", "north.csv", "--data", "south.csv")
    code = errors.SourceError.exit_code
    assert_told(ended, code, "south.csv", "a header but no rows", "check the export")
    (tmp_path / "south.csv").write_bytes(b"")
    assert_told(validate("--data", "south.csv"), code, "south.csv", "empty (0 bytes)", "again")


def test_all_rows_are_one_customer(
    tmp_path: Path, validate: Callable[..., Ended], rows: pd.DataFrame
) -> None:
    copies = pd.concat([rows.head(1)] * 300)
    copies.to_csv(tmp_path / "customers.csv", index=False)
    words = ("300 rows hold 1 different customers", "3 clients", "look for duplicated rows")
    assert_told(validate("--data", "customers.csv"), errors.SplitError.exit_code, *words)


def test_unknown_silo_column(
    tmp_path: Path, validate: Callable[..., Ended], rows: pd.DataFrame
) -> None:
    rows.to_csv(tmp_path / "customers.csv", index=False)
    silo = ("--set", "data.scheme=silo", "--set", "data.silo_column=CityTire")
    ended = validate("--data", "customers.csv", *silo)
    words = ("customers.csv", "unknown silo column 'CityTire'", "did you mean 'CityTier'?")
    assert_told(ended, errors.SplitError.exit_code, *words)


def test_contract_with_a_mistyped_key(tmp_path: Path, validate: Callable[..., Ended]) -> None:
    text = (PROJECT / "configs" / "contracts" / "ecommerce.yaml").read_text()
    line = text[: text.index("silo_column:")].count("\n") + 1
    (tmp_path / "mine.yaml").write_text(text.replace("silo_column:", "silo_colum:"))
    ended = validate("--contract", "mine.yaml")
    words = ("mine.yaml", f"line {line}", "'silo_colum'; did you mean 'silo_column'?")
    assert_told(ended, errors.ContractError.exit_code, *words)
    unknown = validate("--contract", "ecomerce")
    assert_told(unknown, errors.ContractError.exit_code, "'ecomerce'; did you mean 'ecommerce'?")


def test_mistyped_settings(validate: Callable[..., Ended]) -> None:
    code = errors.SettingsError.exit_code
    words = ("training.phases.0.num_round", "did you mean 'num_rounds'?")
    assert_told(validate("--set", "training.phases.0.num_round=3"), code, *words)
    assert_told(validate("--set", "seed=soon"), code, "seed = 'soon'", "correct the value of seed")


def test_mlflow_is_away(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    ended = fedchurn(
        tmp_path, "train", "--set", "home=home", "--set", f"tracking.uri={address}", "--json"
    )
    words = (address, "does not answer", "start it (make up)")
    assert_told(ended, errors.TrackingError.exit_code, *words)
    assert ended.last_object["error"] == "TrackingError"
    assert not (tmp_path / "home" / "stages").exists(), "refused before any work"
    promoting = fedchurn(
        tmp_path, "promote", "1", "--set", "home=home", MLFLOW_TRACKING_URI=address
    )
    assert_told(promoting, errors.TrackingError.exit_code, *words)


def test_home_below_a_file(tmp_path: Path) -> None:
    """Not even the superuser can make a folder there."""
    (tmp_path / "taken").write_text("a file")
    code = errors.ReleaseError.exit_code
    for verb in ("train", "validate"):
        ended = fedchurn(tmp_path, verb, "--set", "home=taken/home")
        assert_told(ended, code, f"{tmp_path}/taken/home", "cannot be written", "another folder")


def test_home_on_a_read_only_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "ro,size=64k") as disk:
        for verb in ("train", "validate"):
            ended = fedchurn(tmp_path, verb, "--set", f"home={disk}/home")
            words = (f"{disk}/home", "Read-only file system", "another folder")
            assert_told(ended, errors.ReleaseError.exit_code, *words)


def test_home_on_a_disk_without_room(tmp_path: Path) -> None:
    """Refused before training where that can be known, else while a stage is written."""
    code = errors.ReleaseError.exit_code
    with small_disk(tmp_path / "disk", "size=64k") as home:
        trained = fedchurn(tmp_path, "train", "--set", f"home={home}")
        assert_told(trained, code, str(home), "0.1 MiB are free", "make room")
        checked = fedchurn(tmp_path, "validate", "--set", f"home={home}")
        assert_told(checked, code, f"{home}/stages", "No space left on device", "make room")
        assert not list((home / "stages").iterdir()), "nothing half-written"
