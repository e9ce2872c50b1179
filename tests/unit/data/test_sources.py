"""Tables come in unconverted, and what cannot be read is told with place and next step."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from fedchurn.contract.schema import Contract, Source
from fedchurn.data.sources import read_table
from fedchurn.errors import SourceError
from tests.unit.data.small import contract

CSV = "Id,Age,Plan,Tier,Note,Churn\n007,1.50,CC,1,NA,Yes\n008,,Basic,02,null,No\n"


def with_source(**changes: object) -> Contract:
    return contract(source=Source.model_validate(changes))


def text_file(folder: Path, text: str, name: str = "north.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


def workbook(folder: Path, *sheets: str) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name in sheets:
        sheet = book.create_sheet(name)
        sheet.append(["Id", "Age"])
        sheet.append([50001, 4])
        sheet.append([None, None])
        sheet.append(["A-2", 2.5])
    path = folder / "north.xlsx"
    book.save(path)
    return path


def database(folder: Path) -> Path:
    path = folder / "shop.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE customers (Id TEXT, Age INTEGER)")
    connection.executemany("INSERT INTO customers VALUES (?, ?)", [("007", 30), ("008", None)])
    connection.commit()
    connection.close()
    return path


def test_csv_cells_stay_the_text_they_are(tmp_path: Path) -> None:
    table = read_table(str(text_file(tmp_path, CSV)), contract())
    assert table.frame.to_dict("records") == [
        {"Id": "007", "Age": "1.50", "Plan": "CC", "Tier": "1", "Note": "NA", "Churn": "Yes"},
        {"Id": "008", "Age": "", "Plan": "Basic", "Tier": "02", "Note": "null", "Churn": "No"},
    ]


def test_facts_of_a_file(tmp_path: Path) -> None:
    table = read_table(text_file(tmp_path, CSV), contract())
    assert table.client == ""
    assert table.source == "north.csv"
    assert table.sha256 == hashlib.sha256(CSV.encode()).hexdigest()
    assert table.row_numbers.tolist() == [1, 2]
    assert table.is_sample is False


def test_taken_rows_keep_their_numbers(tmp_path: Path) -> None:
    table = read_table(text_file(tmp_path, CSV), contract())
    taken = table.take(table.row_numbers == 2, "north")
    assert (taken.client, taken.row_numbers.tolist(), taken.num_rows) == ("north", [2], 1)


def test_delimiter_of_the_contract(tmp_path: Path) -> None:
    path = text_file(tmp_path, CSV.replace(",", ";"))
    table = read_table(path, with_source(delimiter=";"))
    assert list(table.frame.columns) == ["Id", "Age", "Plan", "Tier", "Note", "Churn"]


def test_another_delimiter_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"set source.delimiter: ';'"):
        read_table(text_file(tmp_path, CSV.replace(",", ";")), contract())


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "north.csv"
    path.write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    assert read_table(path, contract()).frame.columns[0] == "Id"


def test_utf16_of_a_spreadsheet_export(tmp_path: Path) -> None:
    path = tmp_path / "north.csv"
    path.write_bytes(CSV.replace("Basic", "Zoë").encode("utf-16"))
    assert read_table(path, contract()).frame["Plan"].tolist() == ["CC", "Zoë"]


def test_latin1_fallback_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "north.csv"
    path.write_bytes(CSV.replace("Basic", "Zoë").encode("latin-1"))
    table = read_table(path, contract())
    assert table.frame["Plan"].tolist() == ["CC", "Zoë"]
    assert "read as latin-1" in table.source
    assert "line 3" in table.source
    assert "read as latin-1" in caplog.text


def test_blank_lines_are_no_rows_but_are_counted(tmp_path: Path) -> None:
    table = read_table(text_file(tmp_path, "Id,Age\n1,2\n\n3,4\n"), contract())
    assert table.row_numbers.tolist() == [1, 3]


def test_commas_and_line_breaks_in_quotes(tmp_path: Path) -> None:
    table = read_table(text_file(tmp_path, 'Id,Note\n1,"a, b\nc"\n2,d\n'), contract())
    assert table.frame["Note"].tolist() == ["a, b\nc", "d"]


def test_tab_separated(tmp_path: Path) -> None:
    path = text_file(tmp_path, "Id\tAge\n1\t2\n", "north.tsv")
    assert read_table(path, contract()).frame.iloc[0].tolist() == ["1", "2"]


def test_workbook_cells_keep_their_type_and_blank_rows_go(tmp_path: Path) -> None:
    table = read_table(workbook(tmp_path, "E Comm"), with_source(sheet="E Comm"))
    assert table.frame["Id"].tolist() == [50001, "A-2"]
    assert table.frame["Age"].tolist() == [4, 2.5]
    assert table.row_numbers.tolist() == [1, 3]
    assert table.source == "north.xlsx (sheet 'E Comm')"


def test_only_sheet_needs_no_name(tmp_path: Path) -> None:
    assert read_table(workbook(tmp_path, "Anything"), contract()).num_rows == 2


def test_parquet_integers_with_gaps_stay_integers(tmp_path: Path) -> None:
    path = tmp_path / "north.parquet"
    pd.DataFrame({"Id": pd.array([2**60 + 1, None], dtype="Int64")}).to_parquet(path)
    assert read_table(path, contract()).frame["Id"].tolist()[0] == 2**60 + 1


def test_query(tmp_path: Path) -> None:
    url = f"sqlite:///{database(tmp_path)}"
    table = read_table(url, contract(), query="SELECT Id, Age FROM customers ORDER BY Id")
    assert table.frame["Id"].tolist() == ["007", "008"]
    assert table.frame["Age"].tolist() == [30, None]
    assert table.source.endswith(": SELECT Id, Age FROM customers ORDER BY Id")
    again = read_table(url, contract(), query="SELECT Id, Age FROM customers ORDER BY Id")
    assert table.sha256 == again.sha256


def refusal(location: str | Path, **options: str) -> SourceError:
    source = with_source(sheet=options.pop("contract_sheet", None))
    with pytest.raises(SourceError) as caught:
        read_table(location, source, **options)
    assert caught.value.where
    assert caught.value.next_step
    return caught.value


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    text_file(tmp_path, CSV, "customers.csv")
    error = refusal(tmp_path / "custmers.csv")
    assert "no such file" in error.what
    assert "did you mean 'customers.csv'?" in error.next_step


def test_missing_folder(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "away" / "north.csv").what


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    text_file(tmp_path, CSV)
    error = refusal(tmp_path)
    assert "a folder, not a file" in error.what
    assert "north.csv" in error.next_step


def test_unknown_suffix(tmp_path: Path) -> None:
    error = refusal(text_file(tmp_path, CSV, "north.docx"))
    assert ".docx" in error.what
    assert ".xlsx" in error.next_step


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so the test steps down where it runs as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_permission_denied(tmp_path: Path) -> None:
    path = text_file(tmp_path, CSV)
    path.chmod(0)
    with as_nobody():
        error = refusal(path)
    assert "permission denied" in error.what


def test_wrong_sheet_lists_the_sheets(tmp_path: Path) -> None:
    error = refusal(workbook(tmp_path, "Data Dict", "E Comm"), sheet="E Com")
    assert "'Data Dict', 'E Comm'" in error.what
    assert "did you mean 'E Comm'?" in error.next_step


def test_wrong_sheet_of_the_contract(tmp_path: Path) -> None:
    error = refusal(workbook(tmp_path, "Customers"), contract_sheet="E Comm")
    assert "no sheet 'E Comm'" in error.what


def test_several_sheets_and_no_name(tmp_path: Path) -> None:
    assert "2 sheets" in refusal(workbook(tmp_path, "Data Dict", "E Comm")).what


def test_sheet_of_a_csv(tmp_path: Path) -> None:
    assert "has no sheets" in refusal(text_file(tmp_path, CSV), sheet="E Comm").what


@pytest.mark.parametrize("name", ["north.csv", "north.xlsx", "north.parquet"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    assert "empty (0 bytes)" in refusal(text_file(tmp_path, "", name)).what


def test_header_without_rows(tmp_path: Path) -> None:
    assert "no rows" in refusal(text_file(tmp_path, "Id,Age\n")).what


@pytest.mark.parametrize("name", ["north.xlsx", "north.parquet"])
def test_corrupt_file(tmp_path: Path, name: str) -> None:
    error = refusal(text_file(tmp_path, "no such format", name))
    assert "cannot be read" in error.what


def test_cut_off_workbook(tmp_path: Path) -> None:
    path = workbook(tmp_path, "E Comm")
    path.write_bytes(path.read_bytes()[:2000])
    assert "cannot be read" in refusal(path).what


def test_workbook_under_the_name_of_a_csv(tmp_path: Path) -> None:
    path = workbook(tmp_path, "E Comm").rename(tmp_path / "north.csv")
    assert "workbook or zip archive" in refusal(path).what


def test_cut_off_csv(tmp_path: Path) -> None:
    error = refusal(text_file(tmp_path, "Id,Age,Plan\n1,2,Basic\n2,3"))
    assert "line 3 has 2 of 3 fields" in error.what


def test_too_many_fields(tmp_path: Path) -> None:
    assert "line 3" in refusal(text_file(tmp_path, "Id,Age\n1,2\n1,2,3\n")).what


def test_unclosed_quote(tmp_path: Path) -> None:
    assert "delimiter ','" in refusal(text_file(tmp_path, 'Id,Age\n1,"2\n3,4\n')).what


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    assert "two columns are named 'Age'" in refusal(text_file(tmp_path, "Age,Id,Age\n1,2,3\n")).what


def test_url_without_query(tmp_path: Path) -> None:
    assert "no query" in refusal(f"sqlite:///{database(tmp_path)}").what


def test_file_with_query(tmp_path: Path) -> None:
    assert (
        "query was given for the file" in refusal(text_file(tmp_path, CSV), query="SELECT 1").what
    )


def test_mistyped_table(tmp_path: Path) -> None:
    error = refusal(f"sqlite:///{database(tmp_path)}", query="SELECT * FROM custmers")
    assert "no such table: custmers" in error.what
    assert "did you mean 'customers'?" in error.next_step


def test_missing_database_file_is_not_made(tmp_path: Path) -> None:
    database(tmp_path)
    error = refusal(f"sqlite:///{tmp_path}/shp.db", query="SELECT 1")
    assert "did you mean 'shop.db'?" in error.next_step
    assert not (tmp_path / "shp.db").exists()


def test_query_that_would_change_the_database(tmp_path: Path) -> None:
    path = database(tmp_path)
    error = refusal(f"sqlite:///{path}", query="DELETE FROM customers")
    assert "returns no table" in error.what
    assert (
        read_table(f"sqlite:///{path}", contract(), query="SELECT * FROM customers").num_rows == 2
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgress://ann:s3cret@host/shop",
        "postgresql+nodriver://ann:s3cret@host/shop",
        "postgresql://ann:s3cret@[bad/shop?sslkey=s3cret",
        "sqlite:////nowhere/s.db?password=s3cret",
    ],
)
def test_secrets_stay_out_of_messages(url: str) -> None:
    assert "s3cret" not in str(refusal(url, query="SELECT 1"))
    assert "s3cret" not in str(refusal(url))


def test_mistyped_database() -> None:
    error = refusal("postgress://ann@host/shop", query="SELECT 1")
    assert "did you mean 'postgresql'?" in error.next_step
