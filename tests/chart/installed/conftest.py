"""What the tests of the installed chart share: one cluster, and a namespace for each test."""

from collections.abc import Iterator

import pytest

from tests.tools.kubernetes import RunningKubernetes, kubernetes_cluster
from tests.tools.releases import Release, new_namespace


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[RunningKubernetes]:
    with kubernetes_cluster() as cluster:
        yield cluster


@pytest.fixture
def release(kubernetes: RunningKubernetes) -> Iterator[Release]:
    """A release that is not installed yet, in a namespace that enforces the restricted Pod Security Standard."""
    with new_namespace(kubernetes) as namespace:
        yield Release(kubernetes, namespace)
