import pytest

from tests.unit.resilience.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
