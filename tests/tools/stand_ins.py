"""Stand-ins for processes behind a proxy, which write down what reaches them: real ones do not break off when told."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

FINE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
DEATH: Final = b""
"""Breaks the connection off when the request has come."""


class StandIn:
    """Answers each request alike, one after the other."""

    def __init__(self, answer: bytes) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # it is closed
                return
            with connection:
                self.requests.append(connection.recv(65536))
                connection.sendall(self._answer)


@contextmanager
def stand_ins(answers: Sequence[bytes]) -> Iterator[list[StandIn]]:
    """Run one for each of the answers."""
    with ExitStack() as stack:
        started = [StandIn(answer) for answer in answers]
        for one in started:
            stack.callback(one.close)
        yield started
