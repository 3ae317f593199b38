"""Callers that import slowly: each holds one request in progress for as long as the test wants."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

PAUSE_SECONDS = 1.0
HEADERS = {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"}


class Imports:
    """What became of the imports, once they are over."""

    created = 0


@contextmanager
def held_imports(ports: Sequence[int], number: int) -> Iterator[Imports]:
    """Hold so many imports open in each service, a byte of a document a second; finish them one by one at the end."""
    imports = Imports()
    connections = [_begun(port, f"document-{count}") for port in ports for count in range(number)]
    is_over = threading.Event()
    dripping = threading.Thread(target=_drip, args=(connections, is_over))
    dripping.start()
    try:
        yield imports
    finally:
        is_over.set()
        dripping.join()
        imports.created = sum(map(_finished, connections))


def _begun(port: int, document: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.putrequest("POST", "/collections/slow/documents")
    for name, value in HEADERS.items():
        connection.putheader(name, value)
    connection.endheaders()
    _send(connection, f'{{"id": "{document}", "title": "Slow", "text": "A slow word '.encode())
    return connection


def _drip(connections: Sequence[http.client.HTTPConnection], is_over: threading.Event) -> None:
    while not is_over.wait(PAUSE_SECONDS):
        for connection in connections:
            _send(connection, b".")


def _send(connection: http.client.HTTPConnection, data: bytes) -> None:
    connection.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _finished(connection: http.client.HTTPConnection) -> int:
    """End an import and return how many documents it has created."""
    _send(connection, b'"}\n')
    connection.send(b"0\r\n\r\n")
    with connection.getresponse() as answer:
        created: int = json.load(answer)["created"]
    connection.close()
    return created
