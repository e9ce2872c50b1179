"""A federation on this machine as on separate hosts: a link and clients, each its own command."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from fedchurn.settings_superlink import SuperlinkSettings
from tests.e2e.fedchurn_command import COMMAND, clean_environment

SAMPLE = Path(__file__).resolve().parents[2] / "configs" / "samples" / "ecommerce.csv"
PATIENCE_SECONDS = 180  # a loaded machine is not a defect


@dataclass
class Hosts:
    """Folders and ports of a federation; every command that it starts ends with it."""

    folder: Path
    fleet: str
    control: str
    serverappio: str
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def superlink(self) -> SuperlinkSettings:
        """Settings of the driver."""
        return SuperlinkSettings(
            keys=self.keys / "driver",
            control_address=self.control,
            serverappio_address=self.serverappio,
            num_clients=3,
            connect_timeout_seconds=PATIENCE_SECONDS,
        )

    def start_link(self) -> None:
        """``federate up`` on the same state; returns when it says that it is up."""
        ports = ["--fleet", self.fleet, "--control", self.control]
        ports += ["--serverappio", self.serverappio]
        self.start("link", "up", "--keys", str(self.keys / "link"), *ports)
        self.await_words("link", "link is up")

    def start_client(self, name: str, *more: str, key: Path | None = None, data: str = "") -> None:
        """``federate client`` with the file of its name."""
        self.start(
            name,
            *("client", "--name", name, "--link", self.fleet),
            *("--data", data or str(self.folder / f"{name}.csv")),
            *("--key", str(key or self.keys / "clients" / name / "client.key")),
            *("--roots", str(self.keys / "link" / "roots.crt"), *more),
        )

    def start(self, name: str, *arguments: str) -> None:
        """``fedchurn federate ARGUMENTS`` with a home of its own; output goes to ``NAME.log``."""
        with self.log(name).open("wb") as output:
            self._running[name] = subprocess.Popen(
                [COMMAND, "federate", *arguments, "--set", f"home={self.folder / 'homes' / name}"],
                cwd=self.folder,
                env=clean_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def await_words(self, name: str, words: str) -> None:
        """Return when a command has said so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in self.log(name).read_text():
            code = self._running[name].poll()
            told = f"{name} ({code}): {self.log(name).read_text()}"
            assert code is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.1)

    def await_end(self, name: str) -> tuple[int, str]:
        """Exit code and output of a command that ends by itself."""
        code = self._running.pop(name).wait(PATIENCE_SECONDS)
        return code, self.log(name).read_text()

    def kill(self, name: str) -> None:
        """SIGKILL: no last words."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> int:
        """SIGTERM; the exit code."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE_SECONDS)

    def end_all(self) -> None:
        """End what still runs, the link last."""
        for name in sorted(self._running, key=lambda name: name == "link"):
            with suppress(subprocess.TimeoutExpired):
                self.end(name)


@contextmanager
def hosts(folder: Path, clients: Sequence[str]) -> Iterator[Hosts]:
    """A federation whose clients have keys and every third row of the sample; nothing runs yet."""
    with SAMPLE.open(newline="") as file:
        header, *rows = csv.reader(file)
    for number, name in enumerate(clients):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows[number :: len(clients)]])
    found = Hosts(folder, *(f"127.0.0.1:{port}" for port in _free_ports(3)))
    try:
        yield found
    finally:
        found.end_all()


def _free_ports(num_ports: int) -> list[int]:
    probes = [socket.socket() for _ in range(num_ports)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def processes_with(words: str) -> list[int]:
    """Numbers of processes whose command line holds ``words``."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if words in (entry / "cmdline").read_text().replace("\0", " "):
                found.append(int(entry.name))
    return [number for number in found if number != os.getpid()]
