"""A real service for the tests that speak HTTP to it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.tools.running import Running, running_service

PLANETS = [
    {
        "id": "mars",
        "title": "Mars",
        "text": "Mars is the fourth planet from the Sun. Its red colour comes from iron oxide. It has two small moons.",
        "metadata": {
            "kind": "rocky",
            "moons": 2,
            "discovered": "1610-01-01",
            "names": ["Mars", "Ares"],
            "ring": False,
            "density": 4,
        },
    },
    {
        "id": "saturn",
        "title": "Saturn",
        "text": "Saturn is a gas giant with bright rings of ice. Titan is the largest of its many moons.",
        "metadata": {"kind": "giant", "moons": 274, "names": ["Saturn", "Kronos"], "ring": True, "density": 0.687},
    },
    {
        "id": "earth",
        "title": "Earth",
        "text": "Earth is the only planet known to bear life. Oceans of liquid water cover most of it.",
        "metadata": {"kind": "rocky", "moons": 1, "names": ["Earth", "Gaia"], "ring": False},
    },
]
ENTRIES = [
    {
        "id": "reset",
        "question": "How do I reset my password?",
        "variants": ["I forgot my password", "change my login secret"],
        "answer": "Use the link on the login page.",
        "metadata": {"topic": "account"},
    },
    {
        "id": "refund",
        "question": "How do I get a refund?",
        "variants": ["I want my money back"],
        "answer": "Write to us within 30 days.",
        "metadata": {"topic": "billing"},
    },
]


@pytest.fixture(scope="session")
def service() -> Iterator[Running]:
    with running_service() as running:
        yield running


@pytest.fixture(scope="session")
def client(service: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as opened:
        fields = {"fields": {"discovered": "date", "density": "number"}}
        assert opened.put("/collections/planets", json=fields).status_code == 201
        assert opened.post("/collections/planets/documents", json=PLANETS).json()["created"] == len(PLANETS)
        assert opened.post("/collections/help/entries", json=ENTRIES).json()["created"] == len(ENTRIES)
        yield opened
