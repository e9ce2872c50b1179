"""``fedchurn contract ...``: list, check, draft."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedchurn.cli.verb import Config, Json, Set, settings_from, verb

app = typer.Typer(help="Work with contracts: the definition of a customer row.")


@app.command("list")
@verb
def list_verb(
    config: Config = None, assignments: Set = None, json_output: Json = False
) -> dict[str, Any]:
    """Show the contracts that can be named."""
    from fedchurn.contract.load import list_contracts, load_contract

    settings_from(config, assignments)
    found = {name: load_contract(path) for name, path in list_contracts().items()}
    for name, contract in found.items():
        print(f"{name:12} {contract.version:8} {contract.title}")
    return {"contracts": {name: c.version for name, c in found.items()}}


@app.command("check")
@verb
def check_verb(
    contract: Annotated[str, typer.Argument(help="Name or path of a contract.")] = "",
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Check a contract and explain what it demands."""
    from fedchurn.contract.explain import explain_contract
    from fedchurn.contract.load import contract_digest, load_contract

    name = contract or settings_from(config, assignments).contract
    loaded = load_contract(name)
    print(explain_contract(loaded))
    return {
        "contract": loaded.contract,
        "version": loaded.version,
        "digest": contract_digest(loaded),
        "num_columns": len(loaded.columns),
        "num_derived": len(loaded.derived),
    }


@app.command("draft")
@verb
def draft_verb(
    file: Annotated[str, typer.Argument(help="xlsx, csv or parquet file.")],
    target: Annotated[str, typer.Option("--target", help="Column that says who churned.")],
    name: Annotated[str, typer.Option("--name", help="Name of the contract.")] = "",
    positive: Annotated[str | None, typer.Option("--positive", help="Label that is churn.")] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Column that names rows.")] = None,
    sheet: Annotated[str | None, typer.Option("--sheet", help="Sheet of an xlsx file.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; configs/contracts/NAME.yaml.")
    ] = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Write a first contract from a table; read it before you trust it."""
    from fedchurn.data.drafting import draft_from_file, write_draft

    settings_from(config, assignments)
    drafted = draft_from_file(
        file, target=target, name=name, positive=positive, id_column=id_column, sheet=sheet
    )
    path = write_draft(drafted, out)
    print(f"wrote {path}: {len(drafted.columns)} columns; check it with")
    print(f"  fedchurn contract check {path}")
    return {"contract": drafted.contract, "path": str(path), "num_columns": len(drafted.columns)}
