"""What all tests share."""

import pytest
from hypothesis import settings

settings.register_profile("service", deadline=None)  # no test asserts a duration
settings.load_profile("service")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests, marked with anyio, run on asyncio."""
    return "asyncio"
