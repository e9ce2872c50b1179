"""Verbs that make models: sample, validate, train, crossval, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedchurn.cli.verb import Config, Json, Set, settings_from, verb

Contract = Annotated[
    str | None, typer.Option("--contract", help="Name or path of the contract.", show_default=False)
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        help="xlsx, csv or parquet file, or SQLAlchemy URL; several files are one client each."
        " Without it, the generated sample.",
    ),
]
Query = Annotated[str | None, typer.Option("--query", help="SQL query, when --data is a URL.")]
Sheet = Annotated[
    str | None, typer.Option("--sheet", help="Sheet of an xlsx file; the contract's by default.")
]
Recipe = Annotated[str | None, typer.Option("--recipe", help="Name of a training recipe.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("sample")(sample_verb)
    app.command("validate")(validate_verb)
    app.command("train")(train_verb)
    app.command("crossval")(crossval_verb)
    app.command("demo")(demo_verb)


def flow_values(
    contract: str | None,
    data: list[str] | None = None,
    query: str | None = None,
    recipe: str | None = None,
    sheet: str | None = None,
) -> dict[str, Any]:
    """Nested settings behind the options of a verb."""
    located: dict[str, Any] = {}
    if data and len(data) == 1:
        located["location"] = data[0]
    elif data:
        located["clients"] = data
    if query:
        located["query"] = query
    if sheet:
        located["sheet"] = sheet
    given = {"contract": contract, "recipe": recipe, "data": located or None}
    return {name: value for name, value in given.items() if value is not None}


@verb
def sample_verb(
    out: Annotated[Path, typer.Option("--out", help="csv file to write.")],
    contract: Contract = None,
    rows: Annotated[int | None, typer.Option("--rows", help="Number of rows.")] = None,
    scenario: Annotated[str | None, typer.Option("--scenario", help="Named drift.")] = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Generate made-up customers from a contract; equal seed, equal bytes."""
    from fedchurn.contract.load import load_contract
    from fedchurn.data.sample import generate_sample, write_sample

    settings = settings_from(config, assignments, flow_values(contract))
    loaded = load_contract(settings.contract)
    frame = generate_sample(loaded, rows=rows, seed=settings.seed, scenario=scenario)
    write_sample(frame, out, loaded, seed=settings.seed, scenario=scenario)
    print(f"wrote {len(frame)} made-up rows to {out}")
    return {"path": str(out), "rows": len(frame), "seed": settings.seed, "scenario": scenario}


@verb
def validate_verb(
    contract: Contract = None,
    data: Data = None,
    query: Query = None,
    sheet: Sheet = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Check rows against the contract, client by client; nothing is trained."""
    from fedchurn.contract.load import load_contract
    from fedchurn.loop.join import first_stage

    settings = settings_from(config, assignments, flow_values(contract, data, query, sheet=sheet))
    result = first_stage(settings, load_contract(settings.contract))
    for warning in result["warnings"]:
        print(f"warning: {warning}")
    for client, why in result.get("refused", {}).items():
        print(f"takes no part: {client}: {why}")
    print(
        f"{result['rows_in']} rows in = {result['rows_used']} used"
        f" + {result['rows_quarantined']} quarantined"
        f" + {result['rows_dropped_duplicates']} dropped duplicates,"
        f" {len(result['data_digests'])} clients"
    )
    print(f"report: {result['folder']}")
    return result


@verb
def train_verb(
    contract: Contract = None,
    data: Data = None,
    query: Query = None,
    sheet: Sheet = None,
    recipe: Recipe = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Validate, train federatedly, evaluate, register, and promote or refuse."""
    from fedchurn.cli.training_output import run_train_flow, tell_outcome

    values = flow_values(contract, data, query, recipe, sheet)
    settings = settings_from(config, assignments, values)
    outcome = run_train_flow(settings)
    tell_outcome(outcome)
    return outcome


@verb
def crossval_verb(
    contract: Contract = None,
    data: Data = None,
    query: Query = None,
    sheet: Sheet = None,
    recipe: Recipe = None,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Number of folds.")] = 5,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Judge a recipe beside its baselines on group-aware folds; nothing is registered."""
    from fedchurn.contract.load import load_contract
    from fedchurn.loop.crossval import crossval, crossval_table

    values = flow_values(contract, data, query, recipe, sheet)
    settings = settings_from(config, assignments, values)
    result = crossval(settings, load_contract(settings.contract), num_folds=folds)
    print(crossval_table(result))
    return result


@verb
def demo_verb(
    config: Config = None, assignments: Set = None, json_output: Json = False
) -> dict[str, Any]:
    """The whole loop on the generated sample, from validation to a retrain; no server needed."""
    from fedchurn.cli.demo import run_demo

    return run_demo(settings_from(config, assignments))
