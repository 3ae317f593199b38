"""A little of everything that callers do, so that every metric of a service has something to say."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx

from tests.tools.servers import wait_until

KINDS = ("rocky", "giant", "dwarf")
PLANETS = [
    {
        "id": f"planet-{number}",
        "title": f"Planet {number}",
        "text": f"Planet {number} is {KINDS[number % 3]}, has {number % 7} moons and turns in {number % 40} hours.",
        "metadata": {"kind": KINDS[number % 3], "moons": number % 7},
    }
    for number in range(200)
]
ENTRIES = [
    {"id": "reset", "question": "How do I reset my password?", "answer": "Use the link on the login page."},
    {"id": "refund", "question": "How do I get a refund?", "answer": "Write to us within 30 days."},
]
TOPICS = ("moons", "rocky planets", "how long is a day", "the largest giant", "a dwarf", "planets that turn slowly")

Step = Callable[[httpx.Client, int], object]


def prepare(client: httpx.Client) -> None:
    """Import what is searched; on a busy machine a fresh Weaviate may need several attempts."""
    for path, body in (("/collections/planets/documents", PLANETS), ("/collections/help/entries", ENTRIES)):
        wait_until(lambda path=path, body=body: client.post(path, json=body).is_success, 60)  # type: ignore[misc]


def known_search(client: httpx.Client, number: int) -> object:
    """Ask what was asked before."""
    return client.post("/search", json={"query": TOPICS[number % len(TOPICS)], "collection": "planets"})


def new_search(client: httpx.Client, number: int) -> object:
    """Ask what nobody asked."""
    return client.post("/search", json={"query": f"which planet is number {number}?", "collection": "planets"})


def filtered_search(client: httpx.Client, number: int) -> object:
    """Ask with filters of different width, and have some of them explained."""
    filters = ({"kind": KINDS[number % 3]}, {"moons": {"gte": number % 7}}, {"kind": "gas", "moons": 3})[number % 3]
    asked = {"query": f"moons {number % 50}", "collection": "planets", "filters": filters, "explain": number % 2 == 0}
    return client.post("/search", json=asked)


def faq_search(client: httpx.Client, number: int) -> object:
    """Ask the FAQ what it knows, and now and then what it does not."""
    asked = f"refund of order {number}" if number % 4 == 0 else ENTRIES[number % 2]["question"]
    return client.post("/faq/search", json={"query": asked, "collection": "help"})


def long_search(client: httpx.Client, number: int) -> object:
    """Ask for a prompt's text, and for several searches at once."""
    queries = [{"query": f"{topic} {number % 9}", "collection": "planets"} for topic in TOPICS]
    client.post("/search/batch", json={"queries": queries})
    return client.post("/search/context", json={"query": f"days {number % 9}", "collection": "planets"})


def mistake(client: httpx.Client, number: int) -> object:
    """Ask for what there is not, in the wrong way, or only if it is cached."""
    client.post("/search", json={"query": "anything", "collection": "nowhere"})
    client.post("/search", json={"query": "", "limit": 99})
    only_cached = {"Cache-Control": "only-if-cached"}
    return client.post("/search", json={"query": f"new {number}", "collection": "planets"}, headers=only_cached)


def change(client: httpx.Client, number: int) -> object:
    """Import anew, with a line that cannot be used, and delete a document."""
    lines = [*PLANETS[number % 50 : number % 50 + 20], {"id": "", "text": 7}]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    headers = {"Content-Type": "application/x-ndjson"}
    client.post("/collections/planets/documents", content=body, headers=headers, timeout=30)
    return client.delete(f"/collections/planets/documents/planet-{number % 200}")


PACES: dict[Step, float] = {
    known_search: 0.05,
    new_search: 0.3,
    filtered_search: 0.3,
    faq_search: 0.08,
    long_search: 0.5,
    mistake: 1,
    change: 3,
}
"""Seconds between two of a kind."""


@contextmanager
def traffic(*urls: str) -> Iterator[None]:
    """Prepare services, and call them in the background as long as the block runs."""
    over = threading.Event()
    for url in urls:
        with httpx.Client(base_url=url, timeout=30) as client:
            prepare(client)
    threads = [threading.Thread(target=_repeat, args=(url, step, over)) for url in urls for step in PACES]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _repeat(url: str, step: Step, over: threading.Event) -> None:
    with httpx.Client(base_url=url, timeout=10) as client:
        for number in itertools.count():
            began = time.monotonic()
            with suppress(httpx.HTTPError):  # a service that has no dependency may fail; metrics say so
                step(client, number)
            if over.wait(max(0.0, PACES[step] - (time.monotonic() - began))):
                return
