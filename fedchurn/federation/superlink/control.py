"""The link's Control API: who may connect, who is connected, and new runs."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

import grpc
from flwr.cli.build import build_fab_from_files
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.control_pb2_grpc import ControlStub
from flwr.supercore.constant import NodeStatus
from flwr.supercore.fab import Fab

from fedchurn.errors import FederationError
from fedchurn.federation.superlink.channel import LinkAway, LinkRefused, call, open_channel

POLL_SECONDS = 0.2

# Flower wants an app bundle per run. Ours holds no code: the driver and the clients have their own,
# and run nothing that a link hands them.
_BUNDLE = b"""\
[project]
name = "fedchurn"
version = "1.0.0"
description = "Nothing to run: Fedchurn's driver and clients bring their own code."
license = { text = "MIT" }
dependencies = []

[tool.flwr.app]
publisher = "fedchurn"

[tool.flwr.app.components]
serverapp = "nothing:app"
clientapp = "nothing:app"
"""


@dataclass(frozen=True)
class LinkNode:
    """A node that the link knows.

    Attributes:
        number: Flower's node id.
        public_key: PEM.
        is_online: heard of lately.
        activated_at: when it last connected, as the link wrote it; another text, another session.
    """

    number: int
    public_key: bytes
    is_online: bool
    activated_at: str


class Control:
    """Calls to the Control API; all may raise what ``channel.call`` does.

    Args:
        address: HOST:PORT.
        roots: PEM certificate that vouches for the link.
    """

    def __init__(self, address: str, roots: bytes) -> None:
        self._address = address
        self._channel: grpc.Channel = open_channel(address, roots, "flwr-cli")
        self._stub = ControlStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def await_answer(self, seconds: float) -> None:
        """Return as soon as the link answers.

        Raises:
            FederationError: it does not within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.nodes()
                return
            except LinkAway as error:
                if time.monotonic() > deadline:
                    raise FederationError(
                        f"no link answers within {seconds:g} s",
                        where=self._address,
                        next_step="start it: `fedchurn federate up`; see its log; or correct "
                        "federation.superlink.control_address",
                    ) from error
            time.sleep(POLL_SECONDS)

    def nodes(self) -> tuple[LinkNode, ...]:
        """Nodes that may connect."""
        response = call(self._stub.ListNodes, ListNodesRequest())
        return tuple(
            LinkNode(
                info.node_id,
                info.public_key,
                info.status == NodeStatus.ONLINE,
                info.last_activated_at,
            )
            for info in response.nodes_info
            if info.status != NodeStatus.UNREGISTERED
        )

    def register(self, public_key: bytes) -> None:
        """Let the holder of a key connect."""
        call(self._stub.RegisterNode, RegisterNodeRequest(public_key=public_key))

    def unregister(self, number: int) -> None:
        """Let a node connect no more."""
        call(self._stub.UnregisterNode, UnregisterNodeRequest(node_id=number))

    def start_run(self) -> int:
        """A new run; its task waits for whoever claims it."""
        content = _bundle()
        fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
        response = call(self._stub.StartRun, StartRunRequest(fab=fab_to_proto(fab)))
        if not response.HasField("run_id"):
            raise LinkRefused("the link made no run")
        return int(response.run_id)

    def stop_run(self, run: int) -> None:
        """End a run that nobody drives any more."""
        call(self._stub.StopRun, StopRunRequest(run_id=run))

    def sweep(self, run: int) -> None:
        """Have the link throw away what is left of an ended run."""
        call(self._stub.ListRuns, ListRunsRequest(run_id=run))


def _bundle() -> bytes:
    return build_fab_from_files({"pyproject.toml": _BUNDLE, "nothing.py": b"app = None\n"})[0]
