"""A client's connection to the link's Fleet API: what a SuperNode says, with its own key."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import cast

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.client.grpc_rere_client.node_auth_client_interceptor import NodeAuthClientInterceptor
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.fleet_pb2_grpc import FleetStub
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import (
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from fedchurn.federation.superlink.channel import LinkAway, LinkRefused, RunOver, call, open_channel
from fedchurn.federation.superlink.objects import Parts

# The link gives a node up that was silent for twice this long; Flower allows no shorter one.
HEARTBEAT_SECONDS = 10.0


class FleetConnection:
    """What a connected client does: beat, fetch a question, send the answer.

    Every method may raise what ``channel.call`` does. ``RunOver`` from ``receive`` means that the
    link no longer knows us: connect again.

    Args:
        address: HOST:PORT of the Fleet API.
        roots: PEM certificate that vouches for the link.
        key: the client's private key.
        stale_node: our number when we were last connected, if the link may think we still are.

    Raises:
        LinkRefused: the key is not registered, or somebody is connected with it.
    """

    def __init__(
        self,
        address: str,
        roots: bytes,
        key: ec.EllipticCurvePrivateKey,
        stale_node: int | None = None,
    ) -> None:
        public_key = key.public_key()
        self._channel = open_channel(
            address, roots, "SuperNode", [NodeAuthClientInterceptor(key, public_key)]
        )
        self._stub = FleetStub(self._channel)
        self._closed = threading.Event()
        try:
            self.node = self._activated(public_key_to_bytes(public_key), stale_node)
        except BaseException:
            self._channel.close()
            raise
        self._parts = Parts(self._pull_object, self._push_object)
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def receive(self, seconds: float) -> Message | None:
        """The next question, if there is one; None too if its parts do not come in ``seconds``."""
        response = call(self._stub.PullMessages, PullMessagesRequest(node=self._node()))
        if not response.messages_list:
            return None
        metadata = response.messages_list[0].metadata
        run = metadata.run_id

        message = self._parts.pull(run, response.message_object_trees[0], seconds)
        if message is None:
            return None
        message.metadata.__dict__["_message_id"] = metadata.message_id
        confirmation = ConfirmMessageReceivedRequest(
            node=self._node(), run_id=run, message_object_id=metadata.message_id
        )
        call(self._stub.ConfirmMessageReceived, confirmation)
        return message

    def send(self, answer: Message, seconds_taken: float) -> None:
        """Hand an answer to the link."""
        answer.metadata.__dict__["_message_id"] = answer.object_id
        with no_object_id_recompute():
            request = PushMessagesRequest(
                node=self._node(),
                messages_list=[message_to_proto(remove_content_from_message(answer))],
                message_object_trees=[get_object_tree(answer)],
                clientapp_runtime_list=[seconds_taken],
            )
            response = call(self._stub.PushMessages, request)
            self._parts.push(answer, set(response.objects_to_push))

    def close(self) -> None:
        """Leave, and say so if the link is there to hear it."""
        self._closed.set()
        self._heart.join()
        with suppress(LinkAway, RunOver, LinkRefused):
            self._deactivate(self.node)
        self._parts.close()
        self._channel.close()

    def _activated(self, public_key: bytes, stale_node: int | None) -> int:
        request = ActivateNodeRequest(public_key=public_key, heartbeat_interval=HEARTBEAT_SECONDS)
        try:
            return int(call(self._stub.ActivateNode, request).node_id)
        except LinkRefused:
            if stale_node is None:
                raise
        # We ended without a word, and the link still waits for our heartbeat.
        with suppress(LinkRefused, RunOver):
            self._deactivate(stale_node)
        return int(call(self._stub.ActivateNode, request).node_id)

    def _deactivate(self, node: int) -> None:
        call(self._stub.DeactivateNode, DeactivateNodeRequest(node_id=node))

    def _push_object(self, run: int, key: str, content: bytes) -> None:
        request = PushObjectRequest(
            node=self._node(), run_id=run, object_id=key, object_content=content
        )
        call(self._stub.PushObject, request)

    def _pull_object(self, run: int, key: str) -> bytes | None:
        request = PullObjectRequest(node=self._node(), run_id=run, object_id=key)
        response = call(self._stub.PullObject, request)
        return cast(bytes, response.object_content) if response.object_available else None

    def _beat(self) -> None:
        request = SendNodeHeartbeatRequest(node=self._node(), heartbeat_interval=HEARTBEAT_SECONDS)
        while not self._closed.wait(HEARTBEAT_SECONDS * 0.8):
            # Who asks next notices what is wrong; here nobody listens.
            with suppress(LinkAway, RunOver, LinkRefused):
                call(self._stub.SendNodeHeartbeat, request)

    def _node(self) -> Node:
        return Node(node_id=self.node)
