"""From a file that Fedchurn has never seen to a contract file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fedchurn.contract.draft import draft_contract
from fedchurn.contract.load import dump_contract
from fedchurn.contract.schema import Contract, Source
from fedchurn.data.file_readers import ReadTable, read_bytes
from fedchurn.data.sources import file_bytes
from fedchurn.errors import ContractError, SourceError

DELIMITERS = (",", ";", "\t", "|")
SCHEMA_LINE = "# yaml-language-server: $schema=../contract.schema.json\n"


def draft_from_file(
    location: str,
    *,
    target: str,
    name: str = "",
    positive: str | None = None,
    id_column: str | None = None,
    sheet: str | None = None,
) -> Contract:
    """A first contract for an xlsx, csv or parquet file; see ``draft_contract``.

    The delimiter of a csv file is the first of ``,`` ``;`` tab and ``|`` that reads it.

    Raises:
        SourceError: the file cannot be read.
        ContractError: the target is unusable, or nothing can be learned from.
    """
    path = Path(location)
    table, source = _read(path, file_bytes(path), sheet)
    return draft_contract(
        table.frame,
        target=target,
        name=name or path.stem,
        positive=positive,
        id_column=id_column,
        source=source,
    )


def _read(path: Path, data: bytes, sheet: str | None) -> tuple[ReadTable, Source]:
    first: SourceError | None = None
    for delimiter in DELIMITERS:
        source = Source(format=_format(path), sheet=sheet, delimiter=delimiter, file=path.name)
        try:
            return read_bytes(data, path.name, source, sheet), source
        except SourceError as error:
            first = first or error
            if source.format != "csv":
                break
    assert first is not None  # DELIMITERS is not empty
    raise first


def _format(path: Path) -> Literal["xlsx", "csv", "parquet"]:
    match path.suffix.lower():
        case ".parquet" | ".pq":
            return "parquet"
        case ".xlsx" | ".xlsm":
            return "xlsx"
    return "csv"


def write_draft(contract: Contract, out: Path | None) -> Path:
    """Write the contract; ``configs/contracts/NAME.yaml`` of the current folder by default.

    Raises:
        ContractError: the file is there already, or cannot be written.
    """
    path = out or Path("configs") / "contracts" / f"{contract.contract}.yaml"
    if path.exists():
        raise ContractError(
            "is there already, and a draft never overwrites a contract",
            where=str(path),
            next_step="give another --name or --out, or remove the file",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCHEMA_LINE + dump_contract(contract), encoding="utf-8")
    except OSError as error:
        raise ContractError(
            f"cannot be written: {error.strerror or error}",
            where=str(path),
            next_step="give --out a place that can be written to",
        ) from error
    return path
