"""Bytes of an xlsx, csv or parquet file into a frame whose cells are as they stand in the file."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.schema import Source
from fedchurn.errors import SourceError, nearest

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class ReadTable:
    """Rows of one file or query; ``note`` is what a reader of reports must know about them."""

    frame: pd.DataFrame
    row_numbers: NDArray[np.int64]
    source: str
    note: str = ""


def read_bytes(data: bytes, name: str, source: Source, sheet: str | None) -> ReadTable:
    """Read the bytes of file ``name``; its suffix says the format.

    Raises:
        SourceError: the bytes are empty, of another format, corrupt or ragged; or ``sheet`` does
            not exist, or is given for a file without sheets.
    """
    suffix = "." + name.rsplit(".", 1)[-1].lower()
    if not data:
        raise SourceError("the file is empty (0 bytes)", where=name, next_step="export it again")
    if sheet is not None and FORMATS[suffix] is not _read_workbook:
        raise SourceError(
            f"sheet {sheet!r} was asked for, but a {suffix} file has no sheets",
            where=name,
            next_step="drop --sheet, or give the .xlsx file",
        )
    return FORMATS[suffix](data, name, source, sheet)


def _read_csv(data: bytes, name: str, source: Source, sheet: str | None) -> ReadTable:  # noqa: ARG001
    delimiter = "\t" if name.lower().endswith(".tsv") else source.delimiter
    encoding, note = _encoding(data, name)
    text = data.decode(encoding)
    frame = _parse_csv(text, name, delimiter)
    table = _with_header(frame, name)
    if len(table.frame.columns) == 1 and source.delimiter != "\t":
        _refuse_other_delimiter(str(table.frame.columns[0]), name, delimiter)
    _refuse_short_lines(text, name, delimiter, len(table.frame.columns))
    return ReadTable(table.frame, table.row_numbers, name, note)


def _encoding(data: bytes, name: str) -> tuple[str, str]:
    if data.startswith(_UTF16_MARKS):
        return "utf-16", ""
    if b"\0" in data[:8192] or data.startswith(b"PK\x03\x04"):
        kind = "a workbook or zip archive" if data.startswith(b"PK") else "a binary file"
        raise SourceError(
            f"this is {kind}, not text",
            where=name,
            next_step="give the file its true suffix (.xlsx, .parquet), or export it as csv",
        )
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return "latin-1", f"read as latin-1: byte {error.start} on line {line} is not UTF-8"
    return "utf-8-sig", ""


def _parse_csv(text: str, name: str, delimiter: str) -> pd.DataFrame:
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=delimiter,
            header=None,
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        detail = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise SourceError(
            f"the file is not a table with delimiter {delimiter!r}: {detail}",
            where=name,
            next_step="check that line, or set source.delimiter in the contract",
        ) from None


def _refuse_other_delimiter(header: str, name: str, delimiter: str) -> None:
    others = [mark for mark in (";", "\t", "|", ",") if mark != delimiter and mark in header]
    if others:
        raise SourceError(
            f"the header is one column with delimiter {delimiter!r}, and holds {others[0]!r}",
            where=name,
            next_step=f"set source.delimiter: {others[0]!r} in the contract",
        )


def _refuse_short_lines(text: str, name: str, delimiter: str, num_columns: int) -> None:
    """pandas pads short lines silently; a file cut off in the middle must be noticed."""
    lines = text.rstrip("\r\n").count("\n") + 1
    if num_columns == 1 or text.count(delimiter) == lines * (num_columns - 1):
        return
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    for fields in reader:
        if fields and len(fields) < num_columns:
            raise SourceError(
                f"line {reader.line_num} has {len(fields)} of {num_columns} fields",
                where=name,
                next_step="the file may be cut off, or a quote is missing; export it again",
            )


def _read_workbook(data: bytes, name: str, source: Source, sheet: str | None) -> ReadTable:
    try:
        with pd.ExcelFile(io.BytesIO(data), engine="openpyxl") as book:
            sheet = _sheet([str(s) for s in book.sheet_names], sheet or source.sheet, name)
            frame = pd.read_excel(
                book, sheet_name=sheet, header=None, dtype=object, keep_default_na=False
            )
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, SyntaxError) as error:
        raise SourceError(
            f"the workbook cannot be read: {error}",
            where=name,
            next_step="open it in a spreadsheet program and save it again as .xlsx",
        ) from None
    return _with_header(frame, f"{name} (sheet {sheet!r})")


def _sheet(names: list[str], wanted: str | None, file: str) -> str:
    if wanted in names:
        return str(wanted)
    if wanted is None and len(names) == 1:
        return names[0]
    listed = ", ".join(repr(n) for n in names)
    if wanted is None:
        what, hint = f"the workbook has {len(names)} sheets: {listed}", "say which one"
    else:
        what, hint = f"no sheet {wanted!r}; there is {listed}", nearest(wanted, names)
    raise SourceError(what, where=file, next_step=f"{hint} (--sheet, or source.sheet)")


def _read_parquet(data: bytes, name: str, source: Source, sheet: str | None) -> ReadTable:  # noqa: ARG001
    try:
        frame = pd.read_parquet(
            io.BytesIO(data), engine="pyarrow", to_pandas_kwargs={"integer_object_nulls": True}
        )
    except (ValueError, OSError, NotImplementedError) as error:
        raise SourceError(
            f"the parquet file cannot be read: {str(error).splitlines()[0]}",
            where=name,
            next_step="write it again; it may be cut off or of another format",
        ) from None
    names = _column_names(list(frame.columns), name)
    frame = frame.set_axis(names, axis=1).reset_index(drop=True)
    return ReadTable(frame, np.arange(1, len(frame) + 1, dtype=np.int64), name)


FORMATS: dict[str, Callable[[bytes, str, Source, str | None], ReadTable]] = {
    ".xlsx": _read_workbook,
    ".xlsm": _read_workbook,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}


def _with_header(cells: pd.DataFrame, source: str) -> ReadTable:
    """First row to column names; rows without any cell filled are dropped, numbers are kept."""
    if not cells.size:
        raise SourceError("there are no cells", where=source, next_step="export it again")
    names = _column_names(cells.iloc[0].tolist(), source)
    frame = cells.iloc[1:].set_axis(names, axis=1)
    filled = np.zeros(len(frame), dtype=bool)
    for place in range(frame.shape[1]):
        filled |= ((cell := frame.iloc[:, place]).notna() & (cell != "")).to_numpy(bool)
        if filled.all():
            break
    row_numbers = np.flatnonzero(filled).astype(np.int64) + 1
    frame = frame if filled.all() else frame[filled]
    return ReadTable(frame.reset_index(drop=True), row_numbers, source)


def _column_names(header: list[Any], source: str) -> list[str]:
    names = [str(cell).strip() for cell in header]
    names = [n or f"(column {i})" for i, n in enumerate(names, start=1)]
    seen: set[str] = set()
    for place, name in enumerate(names, start=1):
        if name in seen:
            raise SourceError(
                f"two columns are named {name!r} (the second is column {place})",
                where=source,
                next_step="rename one of them",
            )
        seen.add(name)
    return names
