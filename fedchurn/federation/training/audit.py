"""Who is out of a training because of what it sends, and what becomes of single clients' answers.

Works on replies of single clients; a sum over clients has nobody to suspect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from fedchurn.federation.aggregation.strategies import ClientRemarks
from fedchurn.federation.algorithms.algorithm import Algorithm
from fedchurn.federation.algorithms.local_training import LocalTraining
from fedchurn.federation.algorithms.newton import Newton
from fedchurn.federation.algorithms.newton_audit import Sums, contradiction, reversed_clients
from fedchurn.federation.exchange import Exchange, Reply
from fedchurn.federation.training.checks import RoundPolicy, rows_problem
from fedchurn.federation.training.model_audit import reversing_clients
from fedchurn.federation.training.scoring import evaluate
from fedchurn.federation.training.state import RoundState


def answer_problem(
    algorithm: Algorithm, state: RoundState, reply: Reply, policy: RoundPolicy
) -> str:
    """Why a reply of the right shape cannot be an honest client's; empty if it can."""
    if reply.members:
        return ""
    if isinstance(algorithm, Newton):
        refit = algorithm.split != "train"
        why = rows_problem(reply, policy, least=refit)
        if why or policy.audit == "off":
            return why
        claimed = None if refit else policy.rows.get(reply.client)
        weights = np.asarray(state.memory["newton.weights"], dtype=np.float64)
        return contradiction(weights, newton_sums_of(reply), claimed[1] if claimed else None)
    if isinstance(algorithm, LocalTraining):
        why = rows_problem(reply, policy) or _impossible_epochs(reply)
        earlier = state.sent.get(reply.client)  # none are kept of very many clients
        is_again = earlier is not None and earlier == _digest(reply)
        return why or ("the update of an earlier round" if is_again else "")
    return ""


def sent_updates(algorithm: Algorithm, replies: Sequence[Reply]) -> dict[str, str]:
    """A digest of each client's update, to know it again: local epochs never end equal twice.

    Newton sums may, where the weights stayed as they were; stale ones contradict the weights.
    """
    if not isinstance(algorithm, LocalTraining):
        return {}
    own = [reply for reply in replies if not reply.members and not reply.error]
    return {r.client: _digest(r) for r in own if any(np.any(a) for a in r.arrays.values())}


def _digest(reply: Reply) -> str:
    digest = hashlib.sha256()
    for name in sorted(reply.arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(reply.arrays[name]).data)
    return digest.hexdigest()


def _impossible_epochs(reply: Reply) -> str:
    """``loss_sum`` and ``num_right`` are sums over the rows."""
    num_rows = float(reply.numbers["num_rows"])
    for name, array in reply.arrays.items():
        largest = float(np.max(np.abs(array), initial=0.0))
        if largest > _MOST_UPDATE:
            return f"{name} holds {largest:.3g}"
    for name in ("loss_sum", "num_right"):
        if name not in reply.numbers:
            return f"{name} is missing"
    right, loss = float(reply.numbers["num_right"]), float(reply.numbers["loss_sum"])
    if not -1e-3 <= right <= num_rows * (1 + 1e-3):
        return f"num_right is {right:g} of {num_rows:g} rows"
    if not loss >= 0:  # however large: a model that another client spoilt is no fault of this one
        return f"loss_sum is {loss:g} over {num_rows:g} rows"
    return ""


_MOST_UPDATE = 1e18  # of one weight; its square is still a float32


def newton_sums_of(reply: Reply) -> Sums:
    """The sums in a reply, whose shapes were checked."""
    arrays = {n: np.asarray(a, dtype=np.float64) for n, a in reply.arrays.items()}
    return Sums(
        float(reply.numbers["num_rows"]),
        arrays["newton.loss"],
        arrays["newton.gradient"],
        arrays["newton.hessian"],
    )


def remarks_of(algorithm: Algorithm, replies: Sequence[Reply]) -> ClientRemarks:
    """What a strategy leaves out or changes of such replies."""
    if not isinstance(algorithm, LocalTraining) or any(reply.members for reply in replies):
        return ClientRemarks()
    return algorithm.remarks(replies)


def suspects(
    algorithm: Algorithm,
    state: RoundState,
    replies: Sequence[Reply],
    exchange: Exchange,
    policy: RoundPolicy,
) -> Mapping[str, str]:
    """Clients that contradict most others, with the reason: out for the rest of the training.

    Newton rounds are judged by their sums alone, in the round at zero weights. Local models are
    judged only where ``policy.audit`` is ``models``: all clients of the round score them, which
    costs one more question with a model per client.
    """
    if policy.audit == "off" or any(reply.members for reply in replies):
        return {}
    if isinstance(algorithm, Newton):
        if np.any(state.memory["newton.weights"]):
            return {}
        sums = {reply.client: newton_sums_of(reply) for reply in replies}
        middle = sorted(algorithm.ridges)[len(algorithm.ridges) // 2]
        return reversed_clients(sums, middle) if sums else {}
    if isinstance(algorithm, LocalTraining) and policy.audit == "models":
        clients = [reply.client for reply in replies]
        scored = evaluate(
            exchange,
            policy,
            algorithm.spec,
            [algorithm.local_model(state, reply) for reply in replies],
            algorithm.encoder_json,
            "validation",
            round_num=state.round_num + 1,
            clients=clients,
        )
        return reversing_clients(clients, scored.sums)
    return {}
