"""Verb ``privacy``: what private trainings have spent of each client, and what is left."""

from __future__ import annotations

from typing import Any

import typer

from fedchurn.cli.model_verbs import Contract, flow_values
from fedchurn.cli.verb import Config, Json, Set, settings_from, verb


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("privacy")(privacy_verb)


@verb
def privacy_verb(
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """What private trainings have spent of each client over all releases, and what is left."""
    from fedchurn.contract.load import load_contract
    from fedchurn.privacy.account import client_accounts
    from fedchurn.privacy.accountant import accountant_name
    from fedchurn.privacy.ledger import Ledger, ledger_path

    settings = settings_from(config, assignments, flow_values(contract))
    name = load_contract(settings.contract).contract
    ledger = Ledger(ledger_path(settings.home, name))
    privacy = settings.privacy
    bookings = ledger.bookings()
    accounts = client_accounts(bookings, privacy.delta, privacy.client_budget_epsilon)
    found = {
        "contract": name,
        "ledger": str(ledger.path),
        "delta": privacy.delta,
        "client_budget_epsilon": privacy.client_budget_epsilon,
        "accountant": accountant_name(),
        "clients": [account.to_dict() for account in accounts],
        "trainings": [
            {**vars(booking), "num_rounds": dict(booking.num_rounds)} for booking in bookings
        ],
    }
    _tell(found)
    return found


def _tell(found: dict[str, Any]) -> None:
    if not found["clients"]:
        print(f"no private training of contract {found['contract']} was ever booked")
        return
    print(f"epsilon at delta {found['delta']:g}, by {found['accountant']}; {found['ledger']}")
    print(f"{'client':32}{'trainings':>10}{'rounds':>8}{'spent':>9}{'budget':>9}{'left':>9}")
    for one in found["clients"]:
        trainings = f"{one['num_trainings']}{'*' if one['num_open'] else ''}"
        print(
            f"{one['client']:32}{trainings:>10}{one['num_rounds']:>8}{one['epsilon']:>9.3f}"
            f"{_or_none(one['budget_epsilon'])}{_or_none(one['left_epsilon'])}"
        )
    if any(one["num_open"] for one in found["clients"]):
        print("* one of them never ended; what it reserved counts in full")


def _or_none(value: float | None) -> str:
    return f"{'none':>9}" if value is None else f"{value:>9.3f}"
