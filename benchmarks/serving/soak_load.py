"""Load at a fixed rate over kept connections, every answer checked as it comes."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import uvloop

from benchmarks.serving.http_client import request_bytes, split_answer

TICK_SECONDS = 0.002
TOLERANCE = 1e-6
REQUESTS_PER_CONNECTION = 500  # then a new one, so that a new worker gets its share
DRAIN_SECONDS = 5.0


class Answered(msgspec.Struct):
    """What is looked at in an answer."""

    churn_probability: float
    release: str
    is_fallback: bool


@dataclass(frozen=True)
class Failure:
    """A request that got no answer, or a connection that could not be made.

    Attributes:
        what: in words.
        local_port: of the connection; 0 when there was none.
        at_seconds: ``time.monotonic()``.
    """

    what: str
    local_port: int
    at_seconds: float


@dataclass
class LoadReport:
    """What came of the load.

    Attributes:
        answers: good answers by the release that they name.
        num_wrong: answers that are no 200, or not what the release gives.
        failures: requests without an answer.
        told: the first wrong answers, in words.
        seconds: waiting times.
    """

    answers: Counter[str] = field(default_factory=Counter)
    num_wrong: int = 0
    failures: list[Failure] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def num_answered(self) -> int:
        """Good answers."""
        return self.answers.total()

    def percentile_ms(self, fraction: float) -> float:
        """Waiting time that a fraction (0-1) of the answers kept, from when they were sent."""
        ordered = sorted(self.seconds) or [math.nan]
        return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] * 1000.0


def run_load(
    port: int,
    bodies: Sequence[bytes],
    expected: Mapping[str, Sequence[float]],
    per_second: float,
    num_connections: int,
    seconds: float,
) -> LoadReport:
    """Ask ``per_second`` times a second, bodies in turn.

    Args:
        port: of the server, on loopback.
        bodies: JSON customers.
        expected: probabilities per release, one per body.
        per_second: rate; what is late is made up for, as far as connections allow.
        num_connections: that many requests at most wait at the same time.
        seconds: how long.
    """
    load = _Load(port, bodies, expected)
    uvloop.run(load.run(per_second, num_connections, seconds))
    return load.report


class _Load:
    def __init__(
        self, port: int, bodies: Sequence[bytes], expected: Mapping[str, Sequence[float]]
    ) -> None:
        self.port = port
        self.requests = [request_bytes("/predict", body) for body in bodies]
        self.expected = expected
        self.decode = msgspec.json.Decoder(Answered).decode
        self.report = LoadReport()
        self.idle: deque[_Connection] = deque()
        self.over = False
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, per_second: float, num_connections: int, seconds: float) -> None:
        for _ in range(num_connections):
            await self.connect()
        begun, sent = time.monotonic(), 0
        while (now := time.monotonic() - begun) < seconds:
            due = int(now * per_second) - sent
            for _ in range(min(due, len(self.idle))):
                self.idle.popleft().ask(sent % len(self.requests))
                sent += 1
            await asyncio.sleep(TICK_SECONDS)
        await self._drain(num_connections)

    async def _drain(self, num_connections: int) -> None:
        end = time.monotonic() + DRAIN_SECONDS
        while len(self.idle) < num_connections and time.monotonic() < end:
            await asyncio.sleep(TICK_SECONDS)
        self.over = True
        if len(self.idle) < num_connections:
            missing = num_connections - len(self.idle)
            self.failed(f"{missing} connections still wait after {DRAIN_SECONDS} s", 0)
        for connection in self._connections:
            connection.close()
        await asyncio.sleep(0.05)  # until they have been told

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.port)
        except OSError as error:
            self.failed(f"no connection: {error!r}", 0)
            await asyncio.sleep(0.1)
            self.reconnect()

    def reconnect(self) -> None:
        if not self.over:
            task = asyncio.get_running_loop().create_task(self.connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def opened(self, connection: _Connection) -> None:
        self._connections.add(connection)
        self.idle.append(connection)

    def closed(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        if connection in self.idle:  # an idle one may be closed by either side
            self.idle.remove(connection)

    def failed(self, what: str, local_port: int) -> None:
        self.report.failures.append(Failure(what, local_port, time.monotonic()))

    def check(self, place: int, status: int, body: bytes) -> None:
        try:
            answer = self.decode(body)
            off = abs(answer.churn_probability - self.expected[answer.release][place])
            right = status == 200 and off <= TOLERANCE and not answer.is_fallback
        except (msgspec.MsgspecError, KeyError):
            right = False
        if right:
            self.report.answers[answer.release] += 1
        else:
            self.report.num_wrong += 1
            self.report.told.append(f"{status} to body {place}: {body[:300]!r}")


class _Connection(asyncio.Protocol):
    """One kept connection: at most one request at a time."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = b""
        self._place: int | None = None
        self._sent_seconds = 0.0
        self._num_asked = 0
        self._local_port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self._local_port = transport.get_extra_info("sockname")[1]
        self._load.opened(self)

    def close(self) -> None:
        self._transport.close()

    def ask(self, place: int) -> None:
        self._place, self._sent_seconds = place, time.perf_counter()
        self._num_asked += 1
        self._transport.write(self._load.requests[place])

    def data_received(self, data: bytes) -> None:
        self._received += data
        found = split_answer(self._received)
        if found is None or self._place is None:
            return
        self._load.report.seconds.append(time.perf_counter() - self._sent_seconds)
        self._load.check(self._place, *found)
        self._received, self._place = b"", None
        if self._num_asked < REQUESTS_PER_CONNECTION:
            self._load.idle.append(self)
        else:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.closed(self)
        if self._place is not None:
            self._load.failed(f"connection lost: {exc!r}", self._local_port)
        self._load.reconnect()
