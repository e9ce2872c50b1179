"""One run on a SuperLink, driven from our own process.

Flower starts a program of its own for the server's side of every run. A flow that trains keeps its
state, its checkpoints and its MLflow run itself, so it plays that program's part: it makes the run,
claims the run's task, and sends and fetches the run's messages with the task's token.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import grpc
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.common.constant import SUPERLINK_NODE_ID, SubStatus
from flwr.common.serde import message_to_proto
from flwr.proto.appio_pb2 import (
    ClaimTaskRequest,
    PullAppMessagesRequest,
    PullPendingTasksRequest,
    PullTaskInputRequest,
    PushAppMessagesRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.serverappio_pb2_grpc import ServerAppIoStub
from flwr.supercore.inflatable.inflatable_object import (
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.interceptors import AppIoTokenClientInterceptor
from flwr.supercore.interceptors.superexec_auth_interceptor import (
    SERVERAPPIO_SUPEREXEC_METHODS,
    SuperExecAuthClientInterceptor,
)

from fedchurn.federation.superlink.channel import LinkAway, LinkRefused, RunOver, call, open_channel
from fedchurn.federation.superlink.control import Control
from fedchurn.federation.superlink.objects import Parts

HEARTBEAT_SECONDS = 10.0  # the link gives a silent driver up after 60 s
LINK = Node(node_id=SUPERLINK_NODE_ID)
_COMPONENT = "flwr-serverapp"


@dataclass(frozen=True)
class LinkAddresses:
    """Where a link is reached by its driver, and what proves both to each other.

    Attributes:
        control: HOST:PORT of the Control API.
        serverappio: HOST:PORT of the ServerAppIo API.
        roots: PEM certificate that vouches for the link.
        secret: what lets the driver claim runs.
    """

    control: str
    serverappio: str
    roots: bytes
    secret: bytes


class LinkRun:
    """A run that is ours until ``close``, or until the link forgets it.

    Every method may raise ``LinkAway`` and ``RunOver``; see ``channel.call``.

    Args:
        control: makes the run.
        addresses: of the link.
    """

    def __init__(self, control: Control, addresses: LinkAddresses) -> None:
        self._control = control
        self.number = control.start_run()
        try:
            token = _claimed(addresses, self.number)
        except (LinkAway, RunOver, LinkRefused):
            with suppress(LinkAway, RunOver, LinkRefused):
                control.stop_run(self.number)
            raise
        self._channel = open_channel(
            addresses.serverappio,
            addresses.roots,
            _COMPONENT,
            [AppIoTokenClientInterceptor(token)],
        )
        self._stub = ServerAppIoStub(self._channel)
        self._parts = Parts(self._pull_object, self._push_object)
        call(self._stub.PullTaskInput, PullTaskInputRequest())
        self._closed = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def push(self, messages: Sequence[Message]) -> list[str]:
        """Hand messages to the link; their ids, empty for a node that the link does not know."""
        with no_object_id_recompute():
            for message in messages:
                message.metadata.__dict__.update(
                    _run_id=self.number, _src_node_id=SUPERLINK_NODE_ID
                )
                message.metadata.__dict__["_message_id"] = message.object_id
            request = PushAppMessagesRequest(
                messages_list=[message_to_proto(remove_content_from_message(m)) for m in messages],
                message_object_trees=[get_object_tree(m) for m in messages],
            )
            response = call(self._stub.PushMessages, request)
            wanted = set(response.objects_to_push)
            for message in messages:
                self._parts.push(message, wanted)
        return list(response.message_ids)

    def pull(self, message_ids: Sequence[str], seconds: float) -> list[Message]:
        """Answers that have come; one whose parts do not follow in ``seconds`` is left out."""
        response = call(self._stub.PullMessages, PullAppMessagesRequest(message_ids=message_ids))
        answers = []
        for proto, tree in zip(response.messages_list, response.message_object_trees, strict=True):
            message = self._parts.pull(self.number, tree, seconds)
            if message is None:
                continue
            message.metadata.__dict__["_message_id"] = proto.metadata.message_id
            answers.append(message)
            request = ConfirmMessageReceivedRequest(
                node=LINK,
                run_id=self.number,
                message_object_id=proto.metadata.message_id,
            )
            call(self._stub.ConfirmMessageReceived, request)
        return answers

    def close(self, *, completed: bool) -> None:
        """Tell the link that the run is over; says nothing if the link is away."""
        self._closed.set()
        request = PushTaskOutputRequest(
            sub_status=SubStatus.COMPLETED if completed else SubStatus.FAILED,
            details="" if completed else "the driver gave up",
        )
        with suppress(LinkAway, RunOver, LinkRefused):
            call(self._stub.PushTaskOutput, request)
            self._control.sweep(self.number)
        self._heart.join()
        self._parts.close()
        self._channel.close()

    def _push_object(self, run: int, key: str, content: bytes) -> None:
        request = PushObjectRequest(node=LINK, run_id=run, object_id=key, object_content=content)
        call(self._stub.PushObject, request)

    def _pull_object(self, run: int, key: str) -> bytes | None:
        response = call(
            self._stub.PullObject, PullObjectRequest(node=LINK, run_id=run, object_id=key)
        )
        return cast(bytes, response.object_content) if response.object_available else None

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            # Who asks next notices what is wrong; here nobody listens.
            with suppress(LinkAway, RunOver, LinkRefused):
                call(self._stub.SendTaskHeartbeat, SendTaskHeartbeatRequest())


def _claimed(addresses: LinkAddresses, run: int) -> str:
    """The token of a run's task.

    Raises:
        LinkRefused: the secret is wrong, the task is not there, or somebody else has it.
    """
    signer = SuperExecAuthClientInterceptor(
        master_secret=addresses.secret, protected_methods=SERVERAPPIO_SUPEREXEC_METHODS
    )
    channel: grpc.Channel = open_channel(
        addresses.serverappio, addresses.roots, _COMPONENT, [signer]
    )
    try:
        stub = ServerAppIoStub(channel)
        for task in call(stub.PullPendingTasks, PullPendingTasksRequest()).tasks:
            if task.run_id == run:
                token = call(stub.ClaimTask, ClaimTaskRequest(task_id=task.task_id)).token
                if token:
                    return str(token)
    except RunOver as error:
        raise LinkRefused(f"the driver's secret is not the link's: {error}") from error
    finally:
        channel.close()
    raise LinkRefused(f"the task of run {run} cannot be claimed")
