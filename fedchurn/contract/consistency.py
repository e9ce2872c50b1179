"""All checks of a contract's consistency, for contracts from files and from drafts alike."""

from __future__ import annotations

from fedchurn.contract.check_answers import answer_problems, scenario_problems
from fedchurn.contract.check_columns import column_problems
from fedchurn.contract.check_names import (
    NameChecker,
    derived_problems,
    role_problems,
    rule_problems,
)
from fedchurn.contract.problems import Problem, raise_problems
from fedchurn.contract.schema import Contract


def contract_problems(contract: Contract, left_out: frozenset[str] = frozenset()) -> list[Problem]:
    """Everything in which ``contract`` contradicts itself.

    Args:
        contract: a contract that obeys the schema.
        left_out: columns that the file has but ``contract`` has not, since they are broken; naming
            them is no further problem.
    """
    names = NameChecker(contract, left_out)
    return [
        *column_problems(contract),
        *role_problems(contract, names),
        *derived_problems(contract, names),
        *rule_problems(contract, names),
        *answer_problems(contract),
        *scenario_problems(contract, names),
    ]


def check_contract(contract: Contract, where: str) -> Contract:
    """``contract``, if it is consistent.

    Raises:
        ContractError: tells all problems.
    """
    raise_problems(contract_problems(contract), where)
    return contract
