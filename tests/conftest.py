"""What all tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.tools.weaviate import RunningNode, weaviate_server

settings.register_profile("service", deadline=None)  # no test asserts a duration
settings.load_profile("service")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests, marked with anyio, run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def weaviate() -> Iterator[RunningNode]:
    """One node of Weaviate for all tests: each makes collections of its own, and leaves the node well."""
    with weaviate_server() as node:
        yield node
