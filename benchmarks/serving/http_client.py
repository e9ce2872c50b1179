"""A small HTTP client over one kept connection: quick enough to time answers with."""

from __future__ import annotations

import socket
import subprocess
import time

POLL_SECONDS = 0.002


class Client:
    """One kept connection to loopback.

    Raises:
        OSError: nobody listens, or the connection broke.
    """

    def __init__(self, port: int, timeout_seconds: float = 30.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a JSON body."""
        self._socket.sendall(request_bytes(path, body))
        received = b""
        while (answer := split_answer(received)) is None:
            more = self._socket.recv(262_144)
            if not more:
                raise ConnectionResetError("the server closed the connection")
            received += more
        return answer[0], answer[1]

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def request_bytes(path: str, body: bytes) -> bytes:
    """A POST of JSON as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def split_answer(received: bytes) -> tuple[int, bytes] | None:
    """Status and body, once they are there; every answer here has a Content-Length."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    place = head.find(b"content-length:")
    length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
    body = received[end + 4 :]
    return (int(head[9:12]), body) if len(body) >= length else None


def answered_in_time(
    port: int, body: bytes, deadline: float, server: subprocess.Popen[bytes]
) -> bool:
    """Wait for the first 200 on /predict; ``deadline`` is a ``time.perf_counter()``."""
    while time.perf_counter() < deadline and server.poll() is None:
        try:
            client = Client(port, DEADLINE_STEP_SECONDS)
            status, _ = client.post("/predict", body)
            client.close()
            if status == 200:
                return True
        except OSError:
            pass
        time.sleep(POLL_SECONDS)
    return False


DEADLINE_STEP_SECONDS = 60.0  # Bento opens its port long before it answers
